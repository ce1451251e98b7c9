import { type Kysely, sql, type Updateable } from 'kysely';
import type { Database, GiftsTable } from '../../services/database/schema.ts';
import { DomainError } from '../../services/domain/errors.ts';
import { acceptGifts, giftAccept, type OutboxRow } from '../../services/domain/gifts/accept-gifts.ts';
import { cancelGift } from '../../services/domain/gifts/cancel-gift.ts';
import type { Actor } from '../../services/domain/gifts/end-gifts.ts';
import type { Gift } from '../../services/domain/gifts/gift.ts';
import { acceptedAt, type GiftDraft, prepareGift } from '../../services/domain/gifts/prepare-gift.ts';
import {
  type ApiKeyId,
  fromUuid,
  type GiftId,
  newId,
  newUuid,
  type SenderId,
  toUuid,
} from '../../services/domain/ids.ts';
import type { Money } from '../../services/domain/money.ts';
import type { OutboxWriter } from '../../services/domain/outbox.ts';
import { creditTopupOnce, type Topup } from '../../services/domain/payments/credit-topup.ts';
import { createKeyringFile, parseKeyring } from '../../services/domain/recipients/keyring.ts';

export const keyring = parseKeyring(createKeyringFile('test'));

export const outbox: OutboxWriter = {
  leaseSeconds: 60,
  row: (message, { groupId }) => ({
    queue: 'gifts',
    body: JSON.stringify(message),
    group_id: groupId,
    trace_header: null,
  }),
};

export type FundedSender = { senderId: SenderId; apiKeyId: ApiKeyId };

/** A sender with a funding account in EUR that holds `amountMinor`. */
export async function fundedSender(db: Kysely<Database>, amountMinor = 1_000_000): Promise<FundedSender> {
  const senderId = newId('sen');
  const funding = { id: newUuid(), sender_id: toUuid(senderId), currency: 'EUR' };
  const topup = { id: newUuid(), funding_account_id: funding.id, currency: 'EUR', reference: null } as const;
  await db.transaction().execute(async (trx) => {
    await trx
      .insertInto('senders')
      .values({ id: toUuid(senderId), name: 'Test sender' })
      .execute();
    await trx.insertInto('funding_accounts').values(funding).execute();
    const account = (kind: 'available' | 'reserved') => ({
      id: newUuid(),
      kind,
      funding_account_id: funding.id,
    });
    const available = account('available');
    const own = [available, account('reserved')].map((row) => ({
      ...row,
      currency: 'EUR',
      balance_minor: 0,
    }));
    await trx.insertInto('ledger_accounts').values(own).execute();
    const system = (['world', 'outstanding'] as const).map((kind) => ({
      id: newUuid(),
      kind,
      currency: 'EUR',
    }));
    await trx
      .insertInto('ledger_accounts')
      .values(system.map((row) => ({ ...row, funding_account_id: null, balance_minor: null })))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    if (amountMinor === 0) return;
    const world = await trx
      .selectFrom('ledger_accounts')
      .select('id')
      .where('kind', '=', 'world')
      .where('currency', '=', 'EUR')
      .executeTakeFirstOrThrow();
    await trx
      .insertInto('topups')
      .values({ ...topup, kind: 'manual', state: 'credited', amount_minor: amountMinor })
      .execute();
    const transfer = { id: newUuid(), kind: 'topup', gift_id: null, topup_id: topup.id } as const;
    await trx.insertInto('ledger_transfers').values(transfer).execute();
    const entry = (accountId: string, amount: number) => ({
      transfer_id: transfer.id,
      account_id: accountId,
      currency: 'EUR',
      amount_minor: amount,
    });
    await trx
      .insertInto('ledger_entries')
      .values([entry(world.id, -amountMinor), entry(available.id, amountMinor)])
      .execute();
  });
  return { senderId, apiKeyId: newId('key') };
}

export function draftGift(sender: FundedSender, changes: Partial<GiftDraft> = {}): GiftDraft {
  return {
    ...sender,
    value: { amount: 2_500, currency: 'EUR' },
    recipient: { kind: 'email', email: 'ada@example.com', message: 'Well done', senderName: 'Charles' },
    binding: 'bearer',
    deliverAt: null,
    expiresAt: null,
    acceptable: { from: null, until: null },
    externalId: null,
    metadata: {},
    requestId: null,
    ...changes,
  };
}

const somebody: Actor = { kind: 'admin', id: null, requestId: null };

/** Cancels a gift as the API does. @returns false when it was claimed or had ended before */
export async function cancel(db: Kysely<Database>, giftId: GiftId, actor = somebody): Promise<boolean> {
  const gift = db.selectFrom('gifts').select('sender_id').where('id', '=', toUuid(giftId));
  const { sender_id } = await gift.executeTakeFirstOrThrow();
  const key = { scopeId: sender_id, key: newUuid(), fingerprint: Buffer.alloc(32), otherFingerprints: [] };
  const answerOf = () => ({ status: 200, body: null, location: null });
  const asked = { senderId: fromUuid('sen', sender_id), giftId, actor, key, answerOf };
  return await cancelGift(db, asked).then(
    ({ kind }) => kind === 'done',
    (error: unknown) => {
      if (error instanceof DomainError && error.code === 'state_conflict') return false;
      throw error;
    },
  );
}

/** Accepts gifts as the API does. @throws what the first that was not accepted was refused with */
export async function accept(
  db: Kysely<Database>,
  drafts: GiftDraft[],
  writer: OutboxWriter = outbox,
): Promise<{ gifts: Gift[]; outbox: OutboxRow[] }> {
  const prepared = drafts.map((draft) => prepareGift({ keyring }, draft));
  const accepts = prepared.map((gift) => giftAccept({ outbox: writer }, gift, null));
  const outcomes = await acceptGifts(db, { outbox: writer, lockWaitMs: 5_000 }, accepts);
  const rows: OutboxRow[] = [];
  const gifts = prepared.map((gift, index) => {
    const outcome = outcomes[index];
    if (outcome?.kind !== 'accepted')
      throw outcome && 'error' in outcome ? outcome.error : new Error(outcome?.kind);
    if (outcome.outboxRow) rows.push(outcome.outboxRow);
    return acceptedAt(gift, outcome.at);
  });
  return { gifts, outbox: rows };
}

/** Puts gifts where a test needs them, without their money: the constraints that tie the two are off for it. */
export async function placeGifts(
  db: Kysely<Database>,
  ids: readonly string[],
  changes: Updateable<GiftsTable>,
): Promise<void> {
  if (ids.length === 0) return;
  await db.transaction().execute(async (trx) => {
    await sql`set local session_replication_role = replica`.execute(trx);
    await trx.updateTable('gifts').set(changes).where('id', 'in', ids).execute();
  });
}

/** Delivered gifts become as old as their time to the end is long. */
export async function passHalfTheirTime(db: Kysely<Database>, ids: GiftId[]): Promise<void> {
  await sql`
    update gifts set state_changed_at = clock_timestamp() - (expires_at - clock_timestamp())
    where id = any (${ids.map((id) => toUuid(id))})`.execute(db);
}

/** Money from outside, as an administrator credits it. */
export async function fund(db: Kysely<Database>, senderId: SenderId, value: Money): Promise<Topup> {
  const draft = { senderId, value, reference: null, apiKeyId: null, requestId: null };
  const answerOf = () => ({ status: 201, body: null, location: null });
  const credited = await creditTopupOnce(db, draft, { key: null, answerOf });
  if (credited.kind !== 'done') throw new Error(`not credited: ${credited.kind}`);
  return credited.result;
}

/** What the ledger says of a sender's euros, and of all euros together. */
export async function balances(
  db: Kysely<Database>,
  sender: FundedSender,
): Promise<{ available: number; reserved: number; outstanding: number; total: number }> {
  const rows = await db
    .selectFrom('ledger_accounts as a')
    .leftJoin('funding_accounts as f', 'f.id', 'a.funding_account_id')
    .leftJoin('ledger_entries as e', 'e.account_id', 'a.id')
    .leftJoin('ledger_account_balances as b', 'b.id', 'a.id')
    .select(({ fn }) => [
      'a.kind',
      'f.sender_id',
      'b.balance_minor',
      fn.sum<number | null>('e.amount_minor').as('sum'),
    ])
    .groupBy(['a.id', 'a.kind', 'f.sender_id', 'b.balance_minor'])
    .execute();
  for (const row of rows) {
    if (row.balance_minor !== null && row.balance_minor !== (row.sum ?? 0)) {
      throw new Error(`${row.kind}: running balance ${row.balance_minor}, entries sum to ${row.sum}`);
    }
  }
  const of = (kind: string) =>
    rows.find(
      (row) =>
        row.kind === kind && (row.sender_id === null || fromUuid('sen', row.sender_id) === sender.senderId),
    )?.sum ?? 0;
  return {
    available: of('available'),
    reserved: of('reserved'),
    outstanding: of('outstanding'),
    total: rows.reduce((sum, row) => sum + (row.sum ?? 0), 0),
  };
}
