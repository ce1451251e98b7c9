import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Kysely, sql } from 'kysely';
import type pg from 'pg';
import { claimOutboxRows, deleteOutboxRows } from '../../../services/database/queries/outbox.ts';
import { takePoints } from '../../../services/database/queries/rate-limits.ts';
import type { Database } from '../../../services/database/schema.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';
import { pagesRead } from '../../support/pages-read.ts';

let database: TestDatabase;
let snapshot: pg.PoolClient;
beforeAll(async () => {
  database = await createTestDatabase();
  snapshot = await database.pool.connect();
  await snapshot.query('begin isolation level repeatable read');
  await snapshot.query('select count(*) from gifts');
});
afterAll(async () => {
  await snapshot.query('rollback');
  snapshot.release();
  await database.drop();
});

const pagesOf = (work: (db: Kysely<Database>) => Promise<unknown>) => pagesRead(database.db, work);

async function repeat(times: number, work: () => Promise<unknown>): Promise<void> {
  for (let done = 0; done < times; done += 1) await work();
}

describe('P21: while a snapshot stays open elsewhere, so that nothing that is deleted or rewritten can go,', () => {
  test('a budget is taken from at the same price, however often it was', async () => {
    const asked = ['ip', 'key'].map((key) => ({ key, points: 1, quota: 100_000, slotMs: 1_000 }));
    const take = (db: Kysely<Database>) => takePoints(db, asked);
    await repeat(10, () => take(database.db));
    const first = await pagesOf(take);
    await repeat(1_500, () => take(database.db));
    expect(await pagesOf(take)).toBeLessThan(first * 2);
  });

  test('a budget that ended is taken from at the price of a new one, however often it was', async () => {
    const take = (key: string) => (db: Kysely<Database>) =>
      takePoints(db, [{ key, points: 1, quota: 100_000, slotMs: 1_000 }]);
    const first = await pagesOf(take('new'));
    // As takings leave them, and the look for ended ones.
    await sql`
      insert into budgets (key, seq, points, expire, quota, slot_ms, slot, oldest_slot, counts)
      select 'ended', (extract(epoch from now()) * 1000000)::bigint - 600000000 - n, 1, 1, 100000, 1000, 0, 0, '{1}'
      from generate_series(1, 5000) n`.execute(database.db);
    await sql`delete from budgets where key = 'ended'`.execute(database.db);
    expect(await pagesOf(take('ended'))).toBeLessThan(first * 2);
  });

  test('a gift of one sender is accepted at the same price, however many came before', async () => {
    const sender = await fundedSender(database.db, 100_000_000);
    const acceptOne = () => accept(database.db, [draftGift(sender)]);
    const pagesOfOne = () => pagesOf((trx) => accept(trx, [draftGift(sender)]));
    await repeat(10, acceptOne);
    const first = await pagesOfOne();
    await repeat(300, acceptOne);
    expect(await pagesOfOne()).toBeLessThan(first * 1.5);
  });

  test('a sweep of the outbox walks past nothing that it has sent before', async () => {
    await database.pool.query('truncate outbox');
    await sql`
      insert into outbox (queue, body, available_at)
      select 'gifts', 'body', clock_timestamp() - interval '1 hour' + n * interval '1 ms' from generate_series(1, 5000) n`.execute(
      database.db,
    );
    let fromMs: number | null = null;
    const sweep = async (db: Kysely<Database>) => {
      const options = { limit: 500, leaseSeconds: 60, fromMs };
      const { rows, untilMs } = await claimOutboxRows(db, ['gifts'], options);
      fromMs = untilMs;
      const ids = rows.map(({ id }) => id);
      await deleteOutboxRows(db, ids);
      return ids.length;
    };
    let sent = 0;
    for (let more = 1; more > 0; sent += more) more = await sweep(database.db);
    expect(sent).toBe(5_000);
    expect(await pagesOf(sweep)).toBeLessThan(10);
  });
});
