import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql, type Transaction } from 'kysely';
import {
  type DueGift,
  lockGiftsToRemind,
  lockScheduledGifts,
} from '../../../services/database/queries/due-gifts.ts';
import { deleteExpiredIdempotencyKeys } from '../../../services/database/queries/idempotency.ts';
import { claimOutboxRows } from '../../../services/database/queries/outbox.ts';
import { lockStrandedGifts } from '../../../services/database/queries/stranded.ts';
import type { Database } from '../../../services/database/schema.ts';
import { toUuid } from '../../../services/domain/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, draftGift, fundedSender, placeGifts } from '../../support/gifts.ts';

const limit = 7;
const workers = 5;
const rows = 60;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  // Statistics of empty tables: the planner expects next to nothing.
  await database.pool.query('analyze gifts, idempotency_keys, outbox');
});
afterAll(() => database.drop());

/** The plans that a planner with bad statistics may choose: each runs a subquery that is no fence once per row. */
async function expectTheWorst(trx: Transaction<Database>): Promise<void> {
  for (const setting of ['hashjoin', 'mergejoin', 'hashagg', 'material', 'memoize', 'sort']) {
    await sql`set local ${sql.raw(`enable_${setting}`)} = off`.execute(trx);
  }
}

/** Runs `work` in transactions of which none ends before all have done theirs. */
async function allAtOnce<T>(work: (trx: Transaction<Database>) => Promise<T>): Promise<T[]> {
  const everybody = Promise.withResolvers<void>();
  let left = workers;
  const one = () =>
    database.db.transaction().execute(async (trx) => {
      try {
        await expectTheWorst(trx);
        return await work(trx);
      } finally {
        left -= 1;
        if (left === 0) everybody.resolve();
        await everybody.promise;
      }
    });
  return await Promise.all(Array.from({ length: workers }, one));
}

const lockers: [string, string, (trx: Transaction<Database>) => Promise<DueGift[]>][] = [
  ['scheduled', 'deliver_at = now()', (trx) => lockScheduledGifts(trx, limit, [])],
  [
    'soon to expire',
    `expires_at = now() + interval '1 hour', state_changed_at = now() - interval '1 hour'`,
    (trx) => lockGiftsToRemind(trx, 7_200, limit, []),
  ],
  [
    'stranded',
    `state_changed_at = now() - interval '1 hour'`,
    (trx) => lockStrandedGifts(trx, { stuckSeconds: 600, deadLetterRetentionSeconds: 86_400 }, limit),
  ],
];

describe('P25: claims of n rows never get more than n, and no row goes to two', () => {
  test.each(lockers)('gifts that are %s', async (what, due, lock) => {
    const sender = await fundedSender(database.db);
    const deliverAt = what === 'scheduled' ? new Date(Date.now() + 60_000) : null;
    const drafts = Array.from({ length: rows }, () =>
      draftGift(sender, { deliverAt, value: { amount: 100, currency: 'EUR' } }),
    );
    const ids = (await accept(database.db, drafts)).gifts.map(({ id }) => toUuid(id));
    if (what === 'soon to expire') {
      await placeGifts(database.db, ids, { state: 'delivered' });
    }
    await sql`update gifts set ${sql.raw(due)} where id = any (${ids})`.execute(database.db);
    const locked = await allAtOnce(lock);
    expect(locked.map(({ length }) => length)).toEqual(Array(workers).fill(limit));
    const all = locked.flat().map(({ id }) => id);
    expect(new Set(all).size).toBe(all.length);
    await placeGifts(database.db, ids, { state: 'cancelled' });
  });

  test('idempotency keys that are over', async () => {
    const { senderId } = await fundedSender(database.db);
    await sql`
      insert into idempotency_keys (scope_id, key, fingerprint, status, body, created_at)
      select ${toUuid(senderId)}, 'key-' || n, sha256('x'), 201, '{}', now() - interval '3 days'
      from generate_series(1, ${rows}::integer) n`.execute(database.db);
    const deleted = await allAtOnce((trx) => deleteExpiredIdempotencyKeys(trx, 0, limit));
    expect(deleted).toEqual(Array(workers).fill(limit));
    const kept = database.db.selectFrom('idempotency_keys').select('key');
    expect(await kept.execute()).toHaveLength(rows - workers * limit);
  });

  test('outbox rows that are free', async () => {
    // The gifts of the tests above left rows of their own.
    await database.db.deleteFrom('outbox').execute();
    await sql`
      insert into outbox (queue, body, available_at)
      select 'gifts', 'body-' || n, clock_timestamp() from generate_series(1, ${rows}::integer) n`.execute(
      database.db,
    );
    const options = { limit, leaseSeconds: 600 };
    const claimed = await allAtOnce(async (trx) => (await claimOutboxRows(trx, ['gifts'], options)).rows);
    expect(claimed.map(({ length }) => length)).toEqual(Array(workers).fill(limit));
    const all = claimed.flat().map(({ id }) => id);
    expect(new Set(all).size).toBe(all.length);
    const left = await claimOutboxRows(database.db, ['gifts'], { ...options, limit: rows });
    expect(left.rows).toHaveLength(rows - workers * limit);
  });
});
