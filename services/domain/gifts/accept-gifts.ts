import type { Transaction } from 'kysely';
import { violatedConstraint } from '../../database/errors.ts';
import {
  type GiftInsert,
  type InsertedGift,
  insertAcceptedGifts,
} from '../../database/queries/accept-gifts.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import { type GiftId, newUuid, toUuid } from '../ids.ts';
import type { OutboxWriter } from '../outbox.ts';
import type { PreparedGift } from './prepare-gift.ts';

/** A row of the outbox that the accepting process should publish right after its commit. */
export type OutboxRow = {
  id: string;
  queue: string;
  body: string;
  groupId: string | null;
  traceHeader: string | null;
};

/**
 * Accepts gifts: gift, sealed recipient, reservation of the money, audit record and outbox row of every gift, in one
 * statement. All or none.
 *
 * @returns the outbox rows written, in the order of the gifts; scheduled gifts have none yet
 * @throws DomainError `funding_account_missing`, `funding_insufficient`, `external_id_taken`
 */
export async function acceptGifts(
  trx: Transaction<Database>,
  deps: { outbox: OutboxWriter },
  gifts: PreparedGift[],
): Promise<OutboxRow[]> {
  const inserts = gifts.map((gift) => toInsert(deps.outbox, gift));
  const inserted = await insertAcceptedGifts(trx, inserts, deps.outbox.leaseSeconds).catch(explainRefusal);
  const rows = new Map(inserted.map((row) => [row.id, row]));
  const unfunded = inserts.find(({ id }) => rows.get(id)?.outcome === 'unfunded');
  if (unfunded) throw fundingAccountMissing(unfunded.currency);
  return inserts.flatMap((insert) => outboxRow(insert, rows.get(insert.id)) ?? []);
}

/** The row to publish; null for a gift that is scheduled. */
export function outboxRow({ outbox }: GiftInsert, inserted: InsertedGift | undefined): OutboxRow | null {
  if (!outbox || !inserted || inserted.outbox_id === null) return null;
  const { queue, body, group_id: groupId, trace_header: traceHeader } = outbox;
  return { id: inserted.outbox_id, queue, body, groupId, traceHeader };
}

export function toInsert(outbox: OutboxWriter, { gift, draft, sealed }: PreparedGift): GiftInsert {
  return {
    id: toUuid(gift.id),
    sender_id: toUuid(gift.senderId),
    currency: gift.value.currency,
    amount_minor: gift.value.amount,
    channel: gift.channel,
    state: gift.state,
    binding: gift.binding,
    deliver_at: gift.deliverAt?.toISOString() ?? null,
    expires_at: gift.expiresAt?.toISOString() ?? null,
    external_id: gift.externalId,
    metadata: gift.metadata,
    request_id: draft.requestId,
    created_at: gift.createdAt.toISOString(),
    recipient: {
      id: sealed.id,
      blind_index: sealed.blind_index.toString('base64'),
      masked: sealed.masked,
      sealed: sealed.sealed.toString('base64'),
      wrapped_key: (sealed.wrapped_key as Buffer).toString('base64'),
      keyring_key_id: sealed.keyring_key_id,
    },
    transfer_id: newUuid(),
    audit: { id: newUuid(), actor_id: toUuid(draft.apiKeyId), data: { state: gift.state } },
    outbox: gift.state === 'queued' ? deliverMessage(outbox, gift.id, gift.senderId, draft.requestId) : null,
    claim: null,
  };
}

function deliverMessage(outbox: OutboxWriter, id: GiftId, senderId: string, requestId: string | null) {
  return outbox.row({ type: 'gift.deliver', version: 1, id }, { groupId: senderId, requestId });
}

export function explainRefusal(error: unknown): never {
  switch (violatedConstraint(error)) {
    case 'ledger_accounts_balance_not_negative':
      throw new DomainError(
        'funding_insufficient',
        'the funding account does not hold enough; top it up and retry',
        {
          pointer: '/value/amount',
          cause: error,
        },
      );
    case 'gifts_external_id_unique':
      throw new DomainError(
        'external_id_taken',
        'you used this external_id for another gift; choose a new one',
        {
          pointer: '/external_id',
          cause: error,
        },
      );
    default:
      throw error;
  }
}

export function fundingAccountMissing(currency: string): DomainError {
  return new DomainError(
    'funding_account_missing',
    `you have no funding account in ${currency}; ask an administrator for a top-up in ${currency}`,
    { pointer: '/value/currency' },
  );
}
