import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { KyselyPlugin } from 'kysely';
import { Registry } from 'prom-client';
import { Relay, type RelayOptions } from '../../../services/api/relay.ts';
import type { RelayDeps } from '../../../services/api/relay-send.ts';
import { createMetrics } from '../../../services/observability/metrics.ts';
import { memoryLogger } from '../../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';

let database: TestDatabase;
let relay: Relay;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  await relay.stop();
  await database.drop();
});

/** Bodies that were sent so far, by a relay of `gifts` to a queue that takes everything. */
function startRelay(options: RelayOptions, db: RelayDeps['db'] = database.db) {
  const sent: string[] = [];
  const { logger, logged } = memoryLogger();
  const deps: RelayDeps = {
    db,
    queues: ['gifts'],
    send: async (_queue, messages) =>
      messages.map(({ body }) => {
        sent.push(body);
        return { ok: true, messageId: 'm' };
      }),
    logger,
    metrics: createMetrics(new Registry(), { processMetrics: false }),
    random: () => 0,
  };
  relay = new Relay(deps, { sweepEveryMs: 20, ...options });
  relay.start();
  return { sent, logged };
}

const write = (body: string, fromNow: string, queue = 'gifts') =>
  database.pool.query(
    `insert into outbox (queue, body, available_at) values ($1, $2, clock_timestamp() + $3::interval)`,
    [queue, body, fromNow],
  );

test('P21: while the server ends every look from the oldest row, what comes later is found all the same', async () => {
  let looks = 0;
  const failing: KyselyPlugin = {
    transformQuery: ({ node }) => {
      const isWhole = JSON.stringify(node).includes('-infinity');
      if (isWhole) looks += 1;
      if (isWhole && looks > 1) throw new Error('canceling statement due to statement timeout');
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const { sent, logged } = startRelay({ wholeEveryMs: 100 }, database.db.withPlugin(failing));
  await eventually(() => expect(looks).toBeGreaterThan(1));
  await write('later', '0');
  await eventually(() => expect(sent).toEqual(['later']));
  expect(logged()).toContainEqual(expect.objectContaining({ event: 'outbox_sweep_failed' }));
});

test('a message whose time is far ahead, as the clock of the database was set back since, is sent all the same', async () => {
  await write('an hour ahead', '1 hour');
  await write('leased', '9 minutes');
  await write('of others', '1 hour', 'elsewhere');
  const { sent, logged } = startRelay({ releaseEveryMs: 20 });
  await eventually(() => expect(sent).toEqual(['an hour ahead']));
  expect(logged()).toContainEqual(expect.objectContaining({ event: 'outbox_rows_recalled', rows: 1 }));
  await eventually(async () => {
    const { rows } = await database.pool.query('select body from outbox order by id');
    expect(rows).toEqual([{ body: 'leased' }, { body: 'of others' }]);
  });
});
