import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { readOutboxBacklog } from '../../../services/database/queries/outbox.ts';
import { newId, toUuid } from '../../../services/domain/ids.ts';
import { listParkedOutboxRows, releaseParkedOutboxRows } from '../../../services/domain/parked-outbox.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database.drop());

async function park(body: string, reason: string | null, queue = 'gifts'): Promise<string> {
  const { rows } = await database.pool.query(
    `insert into outbox (queue, body, available_at, parked_reason)
     values ($1, $2, clock_timestamp() + interval '1 hour', $3) returning id`,
    [queue, body, reason],
  );
  return String(rows[0].id);
}

test('what is parked is listed page by page, with what it is about and why; the rest is not', async () => {
  const giftId = newId('gft');
  const first = await park(JSON.stringify({ id: giftId }), 'oversize');
  await park('waits', null);
  const second = await park('not JSON', 'InvalidMessageContents');
  const listed = await listParkedOutboxRows(database.db);
  expect(listed).toEqual([
    { id: first, queue: 'gifts', reason: 'oversize', subject: giftId, createdAt: expect.any(Date) },
    {
      id: second,
      queue: 'gifts',
      reason: 'InvalidMessageContents',
      subject: null,
      createdAt: expect.any(Date),
    },
  ]);
  expect(await listParkedOutboxRows(database.db, { limit: 1 })).toEqual([listed[0]]);
  expect(await listParkedOutboxRows(database.db, { limit: 1, afterId: first })).toEqual([listed[1]]);
  expect(await listParkedOutboxRows(database.db, { reason: 'oversize' })).toEqual([listed[0]]);
});

test('release makes chosen rows due at once, says so in the story of their gifts, and does no harm twice', async () => {
  const giftId = newId('gft');
  const chosen = await park(JSON.stringify({ id: giftId }), 'oversize');
  const other = await park('not JSON', 'InvalidMessageContents');
  const waiting = await park('waits', null);
  expect(await releaseParkedOutboxRows(database.db, { ids: [chosen, waiting] })).toMatchObject([
    { id: chosen, reason: 'oversize', subject: giftId },
  ]);
  expect(await releaseParkedOutboxRows(database.db, { ids: [chosen] })).toEqual([]);
  expect(await readOutboxBacklog(database.db)).toMatchObject({ pending: 2, parked: 1 });
  const { rows } = await database.pool.query(
    'select id::text as id, available_at <= clock_timestamp() as due from outbox order by outbox.id',
  );
  expect(rows).toEqual([
    { id: chosen, due: true },
    { id: other, due: false },
    { id: waiting, due: false },
  ]);
  const audit = await database.pool.query(
    'select action, actor_kind, subject_kind, subject_id, data from audit_records',
  );
  expect(audit.rows).toEqual([
    {
      action: 'outbox.released',
      actor_kind: 'admin',
      subject_kind: 'gift',
      subject_id: toUuid(giftId),
      data: { outbox_row: chosen, parked_for: 'oversize' },
    },
  ]);
  expect(await releaseParkedOutboxRows(database.db)).toMatchObject([{ id: other, subject: null }]);
});
