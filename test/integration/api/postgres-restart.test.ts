import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase, type DatabaseClient } from '../../../services/database/client.ts';
import { migrate } from '../../../services/database/migrate.ts';
import { fromUuid, type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { createApiKey } from '../../../services/domain/senders/create-api-key.ts';
import { eventually } from '../../support/eventually.ts';
import { balances, type FundedSender, fundedSender } from '../../support/gifts.ts';
import { type PostgresServer, startPostgres } from '../../support/postgres-server.ts';
import { type ApiProcess, createSystem, type System } from '../crash/system.ts';

const fundsMinor = 100_000_000;
const amountMinor = 100;
const soon = new Date(Date.now() + 3_600_000).toISOString();
const generous = { timeoutMs: 45_000, intervalMs: 100 };

let postgres: PostgresServer;
let system: System;
let database: DatabaseClient;
let sender: FundedSender & { key: string };
let api: ApiProcess;

/** What the load got: the id of each gift by its number, and every answer that was not 202. */
const accepted = new Map<number, GiftId>();
const refusals = new Set<string>();
const health = new Set<number>();
const readiness = new Set<number>();

/** Every tenth is scheduled, and waits for the timekeeper. */
const isScheduled = (index: number) => index % 10 === 0;

beforeAll(async () => {
  [postgres, system] = await Promise.all([startPostgres(), createSystem()]);
  database = createDatabase({
    connectionString: postgres.url,
    poolMax: 5,
    applicationName: 'largesse-test',
  });
  await migrate(database.db);
  const funded = await fundedSender(database.db, fundsMinor);
  const draft = { ...funded, name: 'test', roles: ['sender' as const], scopes: null, expiresAt: null };
  sender = { ...funded, key: (await createApiKey(database.db, system, draft)).key };
  const plenty = '1000000';
  api = await system.startApi({
    DATABASE_URL: postgres.url,
    RATE_LIMIT_IP_PER_MINUTE: plenty,
    RATE_LIMIT_KEY_PER_MINUTE: plenty,
  });
  await disturbUnderLoad();
}, 120_000);

afterAll(async () => {
  await database.db.destroy();
  await system.end();
  await postgres.stop();
});

async function post(index: number) {
  const answer = await fetch(`${api.url}/v1/gifts`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'idempotency-key': `gift-${index}`,
      authorization: `Bearer ${sender.key}`,
    },
    body: JSON.stringify({
      value: { amount: amountMinor, currency: 'EUR' },
      recipient: { type: 'email', email: `recipient-${index}@example.com` },
      ...(isScheduled(index) ? { deliver_at: soon } : {}),
    }),
  });
  const body = (await answer.json()) as { id: GiftId; code: string; retryable: boolean };
  return { status: answer.status, replayed: answer.headers.get('idempotency-replayed'), body };
}

/** Tried with the same key until it is accepted, as an integrator does it. */
function give(index: number): Promise<GiftId> {
  return eventually(
    async () => {
      const { status, body } = await post(index).catch((error: unknown) => {
        refusals.add(String(error));
        throw error;
      });
      if (status === 202) return body.id;
      const refusal = `${status} ${body.code}, retryable: ${body.retryable}`;
      refusals.add(refusal);
      throw new Error(refusal);
    },
    { timeoutMs: 30_000, intervalMs: 50 },
  );
}

async function disturbUnderLoad(): Promise<void> {
  let over = false;
  let next = 0;
  const lane = async () => {
    while (!over) {
      const index = next++;
      accepted.set(index, await give(index));
    }
  };
  const probe = async () => {
    while (!over) {
      health.add(await statusOf('/healthz'));
      readiness.add(await statusOf('/readyz'));
    }
  };
  const load = Promise.all([...Array.from({ length: 6 }, lane), probe()]);
  const disturb = async () => {
    for (const disturbance of [terminate, terminateBeforeCommit, terminateAfterCommit]) {
      for (let times = 0; times < 2; times += 1) {
        await progress();
        await disturbance();
      }
    }
    // What looks at Postgres once a second has to meet one of these by chance.
    for (let restarts = 0; restarts < 2 || !(restarts === 200 || everybodyNoticed()); restarts += 1) {
      await progress();
      await postgres.restart();
    }
    await progress();
  };
  try {
    await Promise.race([load, disturb()]);
  } finally {
    over = true;
  }
  await load;
}

/** Readiness, the relay's sweep and a timekeeper: each has failed at least once. */
function everybodyNoticed(): boolean {
  const failed = new Set(api.lines().map(({ event, duty }) => duty ?? event));
  return readiness.has(503) && failed.has('outbox_sweep_failed') && failed.has('queue_scheduled_gifts');
}

/** Gifts go on being accepted. */
async function progress(): Promise<void> {
  const before = accepted.size;
  await eventually(() => expect(accepted.size).toBeGreaterThanOrEqual(before + 30), { timeoutMs: 20_000 });
}

const statusOf = async (path: string) => (await fetch(new URL(path, api.metricsUrl))).status;

/** Every backend of the API, as an administrator or a failover does it. */
async function terminate(): Promise<void> {
  const { rows } = await database.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'largesse-api%'`,
  );
  expect(rows.length).toBeGreaterThan(0);
}

/** As above, while gifts are in hand: they wait for a table that another session holds. */
async function terminateBeforeCommit(): Promise<void> {
  const blocker = new pg.Client({ connectionString: postgres.url });
  await blocker.connect();
  try {
    await blocker.query('begin');
    await blocker.query('lock table ledger_transfers in access exclusive mode');
    await untilApiWaits(`wait_event_type = 'Lock'`);
    await terminate();
  } finally {
    await blocker.end();
  }
}

/** As above, while commits that are made already wait for a standby which does not exist: no answer tells of them. */
async function terminateAfterCommit(): Promise<void> {
  await database.pool.query(`alter system set synchronous_standby_names = 'nobody'`);
  await database.pool.query('select pg_reload_conf()');
  await untilApiWaits(`wait_event = 'SyncRep'`);
  await terminate();
  await database.pool.query('alter system reset synchronous_standby_names');
  await database.pool.query('select pg_reload_conf()');
}

async function untilApiWaits(condition: string): Promise<void> {
  await eventually(async () => {
    const { rows } = await database.pool.query(
      `select 1 from pg_stat_activity where application_name = 'largesse-api' and ${condition}`,
    );
    expect(rows.length).toBeGreaterThan(0);
  });
}

const count = async (from: string) =>
  Number((await database.pool.query(`select count(*) from ${from}`)).rows[0]?.count);

const queued = async () => {
  const { ready } = await system.emulator.inspect(system.queueName);
  return new Set(ready.map(({ body }) => (JSON.parse(body) as { id: GiftId }).id));
};

test('P22: whatever was refused while Postgres was away may be tried again, and says so', () => {
  expect([...refusals]).toEqual(['503 unavailable, retryable: true']);
});

test('P22: each gift that was answered with 202 exists exactly once, and its money is reserved once', async () => {
  const { rows } = await database.pool.query<{ id: string }>('select id from gifts');
  expect(rows.map(({ id }) => fromUuid('gft', id)).toSorted()).toEqual([...accepted.values()].toSorted());
  expect(await count('idempotency_keys')).toBe(accepted.size);
  expect(await count(`ledger_transfers where kind = 'reserve'`)).toBe(accepted.size);
  expect(await count(`audit_records where action = 'gift.accepted'`)).toBe(accepted.size);
  const reserved = accepted.size * amountMinor;
  expect(await balances(database.db, sender)).toEqual({
    available: fundsMinor - reserved,
    reserved,
    outstanding: 0,
    total: 0,
  });
});

test('P22: each key goes on answering with its gift', async () => {
  for (const [index, id] of accepted) {
    expect(await post(index)).toMatchObject({ status: 202, replayed: 'true', body: { id } });
  }
  expect(await count('gifts')).toBe(accepted.size);
});

test('P22: the process has lived through it, and is ready again', async () => {
  expect([...health]).toEqual([200]);
  expect([...readiness].toSorted()).toEqual([200, 503]);
  await eventually(async () => expect(await statusOf('/readyz')).toBe(200));
  expect(everybodyNoticed()).toBe(true);
  expect(api.output()).not.toContain('process_failed');
});

test('P22: the relay goes on: every row of the outbox is published', async () => {
  await eventually(async () => expect(await count('outbox')).toBe(0), generous);
  const due = [...accepted].filter(([index]) => !isScheduled(index)).map(([, id]) => id);
  expect([...(await queued())].toSorted()).toEqual(due.toSorted());
}, 60_000);

test('P22: the timekeepers go on: gifts that are due are queued, those that are over expire', async () => {
  const over = toUuid(accepted.get(1) ?? 'gft_');
  await database.pool.query(`update gifts set deliver_at = now() where state = 'scheduled'`);
  await database.pool.query('update gifts set expires_at = now() where id = $1', [over]);
  await eventually(async () => expect((await queued()).size).toBe(accepted.size), generous);
  await eventually(async () => {
    const { rows } = await database.pool.query('select state, count(*)::integer from gifts group by state');
    expect(new Map(rows.map(({ state, count }) => [state, count]))).toEqual(
      new Map([
        ['queued', accepted.size - 1],
        ['expired', 1],
      ]),
    );
  }, generous);
  expect(await api.stop()).toBe(0);
}, 60_000);
