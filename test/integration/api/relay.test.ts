import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { Relay, type RelayOptions } from '../../../services/api/relay.ts';
import type { RelayDeps } from '../../../services/api/relay-send.ts';
import { claimOutboxRows, readOutboxBacklog } from '../../../services/database/queries/outbox.ts';
import type { OutboxRow } from '../../../services/domain/gifts/accept-gifts.ts';
import { createMetrics } from '../../../services/observability/metrics.ts';
import type { OutgoingMessage, SendResult } from '../../../services/queue/producer.ts';
import { memoryLogger } from '../../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';

let database: TestDatabase;
const relays: Relay[] = [];
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.stop()));
  await database.drop();
});

/** Writes rows as an accept does; `leaseSeconds` 0 or below: free for any sweep. */
async function write(count: number, leaseSeconds = 0, pool = database.pool): Promise<OutboxRow[]> {
  const { rows } = await pool.query(
    `insert into outbox (queue, body, available_at)
     select 'gifts', 'body-' || gen_random_uuid(), clock_timestamp() + make_interval(secs => $2)
     from generate_series(1, $1) returning id, queue, body`,
    [count, leaseSeconds],
  );
  return rows.map((row) => ({ ...row, id: String(row.id), groupId: null, traceHeader: null }));
}

async function claim(limit: number, leaseSeconds: number) {
  return (await claimOutboxRows(database.db, ['gifts'], { limit, leaseSeconds })).rows;
}

type Queue = { sent: string[]; calls: number; send: RelayDeps['send'] };

/** A queue that takes everything, unless `answer` says otherwise. */
function fakeQueue(
  answer: (message: OutgoingMessage) => SendResult | Promise<SendResult> = () => taken,
): Queue {
  const queue: Queue = {
    sent: [],
    calls: 0,
    send: async (_name, messages) => {
      queue.calls += 1;
      const results = await Promise.all(messages.map(answer));
      for (const [index, result] of results.entries())
        if (result.ok) queue.sent.push(messages[index]?.body ?? '');
      return results;
    },
  };
  return queue;
}

const taken: SendResult = { ok: true, messageId: 'm' };
const unavailable: SendResult = { ok: false, reason: 'ServiceUnavailable', retryable: true };

function relayTo(queue: Pick<Queue, 'send'>, options: RelayOptions = {}) {
  const { logger, logged } = memoryLogger();
  const metrics = createMetrics(new Registry(), { processMetrics: false });
  const queues = ['gifts'];
  const deps: RelayDeps = { db: database.db, queues, send: queue.send, logger, metrics, random: () => 0 };
  const relay = new Relay(deps, { sweepEveryMs: 20, ...options });
  relays.push(relay);
  return { relay, logged, metrics };
}

const pending = async () => (await readOutboxBacklog(database.db)).pending;

describe('publish', () => {
  test('rows go at once, ten to a request, and are deleted', async () => {
    const queue = fakeQueue();
    const { relay, metrics } = relayTo(queue);
    const rows = await write(40, 600);
    relay.publish(rows);
    await eventually(async () => expect(await pending()).toBe(0));
    expect(queue.sent.toSorted()).toEqual(rows.map(({ body }) => body).toSorted());
    expect(queue.calls).toBe(4);
    expect((await metrics.render()).body).toContain('largesse_outbox_published_total{queue="gifts"} 40');
  });

  test('rows that SQS does not take stay, and a sweep publishes them later', async () => {
    let away = true;
    const queue = fakeQueue(() => (away ? unavailable : taken));
    const { relay, logged } = relayTo(queue);
    relay.publish(await write(3, 1));
    await eventually(() => expect(queue.calls).toBe(1));
    relay.start();
    await eventually(() => expect(logged().some(({ event }) => event === 'outbox_sweep_failed')).toBe(true));
    expect(await pending()).toBe(3);
    away = false;
    await eventually(async () => expect(await pending()).toBe(0));
    expect(new Set(queue.sent).size).toBe(3);
  });

  test('a row that can never be sent is parked with its reason, and the others go', async () => {
    const queue = fakeQueue(({ body }) =>
      body === 'huge' ? { ok: false, reason: 'oversize', retryable: false } : taken,
    );
    const { relay, logged } = relayTo(queue);
    await write(5);
    await database.pool.query(
      `insert into outbox (queue, body, available_at) values ('gifts', 'huge', clock_timestamp())`,
    );
    relay.start();
    await eventually(async () =>
      expect(await readOutboxBacklog(database.db)).toMatchObject({ pending: 0, parked: 1 }),
    );
    const { rows } = await database.pool.query('select body, parked_reason from outbox');
    expect(rows).toEqual([{ body: 'huge', parked_reason: 'oversize' }]);
    expect(logged()).toEqual([
      expect.objectContaining({ level: 'error', event: 'outbox_row_parked', reason: 'oversize' }),
    ]);
    expect(queue.sent).toHaveLength(5);
  });

  test.each([
    ['published at once', 600],
    ['found by a sweep', 0],
  ])('what SQS has is deleted even if the rest can not be parked or released: %s', async (_how, lease) => {
    // The database refuses every update of a row that SQS did not take.
    await database.pool.query(`create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'refused'; end $$`);
    const [huge, busy, ...fine] = await write(8, lease);
    const answers = new Map<string, SendResult>([
      [huge?.body ?? '', { ok: false, reason: 'oversize', retryable: false }],
      [busy?.body ?? '', unavailable],
    ]);
    const refuseUpdates = `create trigger refuse before update on outbox for each row execute function refuse()`;
    const queue = fakeQueue(async ({ body }) => {
      if (queue.calls === 1 && body === huge?.body) await database.pool.query(refuseUpdates);
      return answers.get(body) ?? taken;
    });
    const { relay } = relayTo(queue);
    if (lease === 0) relay.start();
    else relay.publish([huge, busy, ...fine].filter((row) => row !== undefined));
    await eventually(async () => expect(await pending()).toBe(2));
    expect(queue.sent.toSorted()).toEqual(fine.map(({ body }) => body).toSorted());
  });

  test('stop sends what is in memory before it ends', async () => {
    const queue = fakeQueue();
    const { relay } = relayTo(queue, { gatherMs: 60_000 });
    relay.publish(await write(7, 600));
    await relay.stop();
    expect(queue.sent).toHaveLength(7);
    expect(await pending()).toBe(0);
  });
});

describe('P18: a crash', () => {
  test('P18: after the commit and before the send loses nothing: another process publishes the rows', async () => {
    const rows = await write(25, 1);
    // The process that wrote them is gone: nobody has them in memory.
    const queue = fakeQueue();
    relayTo(queue).relay.start();
    await eventually(async () => expect(await pending()).toBe(0));
    expect(queue.sent.toSorted()).toEqual(rows.map(({ body }) => body).toSorted());
  });

  test('P18: after the send and before the delete yields only a duplicate', async () => {
    await write(10);
    const crashed = fakeQueue();
    // It claims and sends, and is gone before it deletes.
    const claimed = await claim(10, 1);
    await crashed.send('gifts', claimed);
    const queue = fakeQueue();
    relayTo(queue).relay.start();
    await eventually(async () => expect(await pending()).toBe(0));
    expect(queue.sent.toSorted()).toEqual(crashed.sent.toSorted());
  });

  test('P18: a sweep that dies with its rows gives them back when its lease ends, not before', async () => {
    await write(10);
    expect(await claim(10, 1)).toHaveLength(10);
    expect(await claim(10, 60)).toHaveLength(0);
    await eventually(async () => expect(await claim(10, 60)).toHaveLength(10));
  });
});

describe('several at once', () => {
  test('P19: commits out of the order of their ids: every row is published', async () => {
    const queue = fakeQueue();
    for (let i = 0; i < 3; i += 1) relayTo(queue).relay.start();
    const clients = await Promise.all(Array.from({ length: 6 }, () => database.pool.connect()));
    const written: string[] = [];
    // Each transaction takes its ids now and commits in the reverse order, while the relays sweep.
    for (const client of clients) {
      await client.query('begin');
      written.push(...(await write(20, 0, client as never)).map(({ body }) => body));
    }
    for (const client of clients.toReversed()) {
      await client.query('commit');
      client.release();
      await write(5).then((rows) => written.push(...rows.map(({ body }) => body)));
      await eventually(async () => expect(await pending()).toBe(0));
    }
    expect(queue.sent.toSorted()).toEqual(written.toSorted());
  });

  test('P19: what is committed long after it was due is found by the next sweep that begins with the oldest', async () => {
    const queue = fakeQueue();
    const { relay } = relayTo(queue, { sweepEveryMs: 20, wholeEveryMs: 3_600_000 });
    const [first] = await write(1, -60);
    relay.start();
    await eventually(async () => expect(queue.sent).toEqual([first?.body]));
    const late = await write(1, -120);
    const [next] = await write(1);
    await eventually(async () => expect(queue.sent).toEqual([first?.body, next?.body]));
    await relay.stop();
    expect(await pending()).toBe(1);
    relayTo(queue, { sweepEveryMs: 20, wholeEveryMs: 50 }).relay.start();
    await eventually(async () => expect(queue.sent).toContain(late[0]?.body));
  });

  test('P25: claims of n rows never get more than n, and no row goes to two, however skewed the statistics', async () => {
    // Statistics of an empty table, then thousands of rows: the planner expects next to nothing.
    await database.pool.query('analyze outbox');
    await write(3_000);
    const claims = await Promise.all(Array.from({ length: 40 }, async () => await claim(70, 600)));
    for (const claim of claims) expect(claim.length).toBeLessThanOrEqual(70);
    const ids = claims.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    await database.pool.query('analyze outbox');
    expect((await claim(7, 600)).length).toBeLessThanOrEqual(7);
  });

  test('P25: four relays publish a backlog, each row once', async () => {
    const queue = fakeQueue();
    const rows = await write(2_000);
    const all = Array.from({ length: 4 }, () => relayTo(queue, { claimSize: 100 }).relay);
    for (const relay of all) relay.start();
    await eventually(async () => expect(await pending()).toBe(0));
    expect(queue.sent.toSorted()).toEqual(rows.map(({ body }) => body).toSorted());
  });
});

test('a lane that fails leaves none behind: when the relay has stopped, nothing is being sent', async () => {
  let asked = 0;
  let open = 0;
  const queue = fakeQueue(async () => {
    asked += 1;
    // The first claim finds that there is more; of the lanes that follow, one fails while the others still send.
    if (queue.calls === 2) return unavailable;
    open += 1;
    await wait(300);
    open -= 1;
    return taken;
  });
  const { relay, logged } = relayTo(queue, { claimSize: 10, lanes: 3 });
  await write(60);
  relay.start();
  await eventually(() => expect(asked).toBeGreaterThanOrEqual(40));
  await relay.stop();
  expect(open).toBe(0);
  expect(logged().some(({ event }) => event === 'outbox_sweep_failed')).toBe(true);
});

test('P20: no transaction and no connection is held while SQS is talked to', async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<SendResult>();
  const queue = fakeQueue(() => {
    asked.resolve();
    return answer.promise;
  });
  const { relay } = relayTo(queue);
  await write(5);
  relay.publish(await write(5, 600));
  relay.start();
  await asked.promise;
  await eventually(() => expect(queue.calls).toBe(2));
  // Whoever is just looking for parked rows has done so soon; SQS does not answer before this is over.
  await eventually(async () => {
    const { rows } = await database.pool.query(
      `select state, xact_start from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()`,
    );
    for (const { state, xact_start: since } of rows) expect([state, since]).toEqual(['idle', null]);
    expect(database.pool.totalCount - database.pool.idleCount).toBe(0);
  });
  answer.resolve(taken);
  await eventually(async () => expect(await pending()).toBe(0));
});
