import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toUuid } from '../../../services/domain/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, balances, draftGift, fundedSender } from '../../support/gifts.ts';

describe('a gift that is accepted', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  test('reserves the money, writes gift, recipient, audit record and outbox row together', async () => {
    const { db } = database;
    const sender = await fundedSender(db, 10_000);
    const { gifts, outbox } = await accept(db, [draftGift(sender), draftGift(sender)]);
    expect(outbox.map((row) => JSON.parse(row.body))).toEqual(
      gifts.map(({ id }) => ({ type: 'gift.deliver', version: 1, id })),
    );
    expect(await balances(db, sender)).toMatchObject({ available: 5_000, reserved: 5_000, total: 0 });
    const ids = gifts.map((gift) => toUuid(gift.id));
    const rows = await db.selectFrom('gifts').select(['id', 'state']).where('id', 'in', ids).execute();
    expect(rows.map((row) => row.state)).toEqual(['queued', 'queued']);
    const audits = await db
      .selectFrom('audit_records')
      .select('action')
      .where('subject_id', 'in', ids)
      .execute();
    expect(audits.map((row) => row.action)).toEqual(['gift.accepted', 'gift.accepted']);
  });

  test('never reserves more than there is, however many accepts run at once', async () => {
    const { db } = database;
    const sender = await fundedSender(db, 2_500 * 7);
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => accept(db, [draftGift(sender)])));
    expect(tries.filter((one) => one.status === 'fulfilled')).toHaveLength(7);
    expect(await balances(db, sender)).toMatchObject({ available: 0, reserved: 17_500, total: 0 });
  });

  test('refuses a second gift under the same external_id of one sender, and only of one', async () => {
    const { db } = database;
    const [sender, other] = [await fundedSender(db), await fundedSender(db)];
    await accept(db, [draftGift(sender, { externalId: 'order-1' })]);
    await accept(db, [draftGift(other, { externalId: 'order-1' })]);
    await expect(accept(db, [draftGift(sender, { externalId: 'order-1' })])).rejects.toMatchObject({
      code: 'external_id_taken',
    });
  });

  test('names the currency that the sender has no account in', async () => {
    const sender = await fundedSender(database.db);
    const draft = draftGift(sender, { value: { amount: 1, currency: 'JPY' } });
    await expect(accept(database.db, [draft])).rejects.toMatchObject({
      code: 'funding_account_missing',
      message: expect.stringContaining('JPY'),
    });
  });

  test('keeps a scheduled gift out of the outbox until its time', async () => {
    const { db } = database;
    const sender = await fundedSender(db);
    const { gifts, outbox } = await accept(db, [
      draftGift(sender, { deliverAt: new Date(Date.now() + 60_000) }),
    ]);
    expect(gifts[0]?.state).toBe('scheduled');
    expect(outbox).toEqual([]);
  });

  test('stores nothing that names the recipient or repeats the message', async () => {
    const { db } = database;
    const sender = await fundedSender(db);
    const recipient = {
      kind: 'email',
      email: 'grace.hopper@navy.example',
      message: 'Ahoy',
      senderName: 'Mark',
    } as const;
    const { gifts } = await accept(db, [draftGift(sender, { recipient })]);
    const row = await db
      .selectFrom('gifts as g')
      .innerJoin('recipients as r', 'r.id', 'g.recipient_id')
      .selectAll()
      .where('g.id', '=', toUuid(gifts[0]?.id ?? 'gft_'))
      .executeTakeFirstOrThrow();
    const text = JSON.stringify(row) + row.sealed.toString('latin1') + row.wrapped_key?.toString('latin1');
    expect(text).not.toMatch(/hopper|navy|ahoy|mark/i);
  });
});
