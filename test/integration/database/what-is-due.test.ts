import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Kysely, sql } from 'kysely';
import {
  findExpiredGifts,
  lockGiftsToRemind,
  lockScheduledGifts,
} from '../../../services/database/queries/due-gifts.ts';
import { deleteExpiredIdempotencyKeys } from '../../../services/database/queries/idempotency.ts';
import { claimOutboxRows } from '../../../services/database/queries/outbox.ts';
import { deleteEndedBudgets } from '../../../services/database/queries/rate-limits.ts';
import { countStuckGifts } from '../../../services/database/queries/reconciler-sweep.ts';
import { lockStrandedGifts } from '../../../services/database/queries/stranded.ts';
import type { Database } from '../../../services/database/schema.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, cancel, draftGift, fundedSender } from '../../support/gifts.ts';
import { pagesRead } from '../../support/pages-read.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await fillWithWhatIsNotDue(database.db);
});
afterAll(() => database.drop());

/** 20,000 gifts whose times are all to come, and as many budgets, keys and messages. */
async function fillWithWhatIsNotDue(db: Kysely<Database>): Promise<void> {
  const numbers = sql`generate_series(1, 20000) as n`;
  await db.transaction().execute(async (trx) => {
    // Past the triggers and foreign keys: what gifts hang on is not looked at here.
    await sql`set local session_replication_role = replica`.execute(trx);
    await sql`
      insert into gifts (id, sender_id, funding_account_id, recipient_id, channel, state, amount_minor, currency, binding,
        deliver_at, expires_at)
      select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'email',
        (array['scheduled', 'queued', 'delivered'])[n % 3 + 1], 100, 'EUR', 'bearer',
        now() + interval '1 day', now() + interval '1 year' from ${numbers}`.execute(trx);
    await sql`
      insert into idempotency_keys (scope_id, key, fingerprint, status, body)
      select gen_random_uuid(), n::text, '', 202, '{}' from ${numbers}`.execute(trx);
    await sql`
      insert into budgets (key, seq, points, expire, quota, slot_ms, slot, oldest_slot, counts)
      select n::text, 1, 1, 9e15, 60, 1000, 0, 0, '{1}' from ${numbers}`.execute(trx);
    await sql`
      insert into outbox (queue, body, available_at)
      select 'gifts', '{}', now() + interval '1 hour' from ${numbers}`.execute(trx);
  });
  for (const table of ['gifts', 'idempotency_keys', 'budgets', 'outbox'])
    await sql`vacuum analyze ${sql.table(table)}`.execute(db);
}

const limits = { overdueSeconds: 60, underWaySeconds: 900 };
const age = { stuckSeconds: 900, deadLetterRetentionSeconds: 1_209_600 };

test.each<[string, (db: Parameters<typeof lockScheduledGifts>[0]) => Promise<unknown>]>([
  ['scheduled gifts', (trx) => lockScheduledGifts(trx, 200, [])],
  ['gifts that expire', (trx) => findExpiredGifts(trx, 200, [])],
  ['gifts to remind of', (trx) => lockGiftsToRemind(trx, 86_400, 200, [])],
  ['gifts that stand still', (trx) => countStuckGifts(trx, limits)],
  ['gifts whose message is lost', (trx) => lockStrandedGifts(trx, age, 200)],
  ['idempotency keys to forget', (trx) => deleteExpiredIdempotencyKeys(trx, 30, 200)],
  ['budgets that ended', (trx) => deleteEndedBudgets(trx, 200)],
  ['messages to send', (trx) => claimOutboxRows(trx, ['gifts'], { limit: 200, leaseSeconds: 30 })],
])('a look for %s reads nothing of the thousands that are not due yet', async (_what, look) => {
  const pages = await pagesRead(database.db, (db) => look(db as Parameters<typeof look>[0]));
  expect(pages).toBeLessThan(60);
});

test('the end of one gift reads that gift, and not all that have not ended yet', async () => {
  const { db } = database;
  const { gifts } = await accept(db, [draftGift(await fundedSender(db))]);
  const [gift] = gifts;
  if (gift === undefined) throw new Error('no gift');
  const pages = await pagesRead(db, (trx) => cancel(trx, gift.id));
  expect(pages).toBeLessThan(400);
});
