import type { Transaction } from 'kysely';
import { violatedConstraint } from '../../database/errors.ts';
import { ensureFundingAccount, insertCreditedTopup } from '../../database/queries/funding.ts';
import type { Database } from '../../database/schema.ts';
import { DomainError } from '../errors.ts';
import {
  type ApiKeyId,
  type FundingAccountId,
  fromUuid,
  newId,
  newUuid,
  type SenderId,
  type TopupId,
  toUuid,
} from '../ids.ts';
import type { Money } from '../money.ts';

export type TopupDraft = {
  senderId: SenderId;
  value: Money;
  /** the administrator's own note: an invoice, a bank transfer */
  reference: string | null;
  /** null: done on the installation itself, by its administrator */
  apiKeyId: ApiKeyId | null;
  requestId: string | null;
};

export type Topup = TopupDraft & { id: TopupId; fundingAccountId: FundingAccountId; createdAt: Date };

/**
 * Credits money that arrived outside: a transfer from the world into the sender's funding account, which is created
 * with the first top-up in its currency.
 * @throws DomainError `validation_failed` for a sender who does not exist
 */
export async function creditTopup(trx: Transaction<Database>, draft: TopupDraft, now: Date): Promise<Topup> {
  const id = newId('top');
  const { amount, currency } = draft.value;
  const account = await ensureFundingAccount(
    trx,
    { senderId: toUuid(draft.senderId), currency },
    {
      fundingAccountId: newUuid(),
      availableId: newUuid(),
      reservedId: newUuid(),
      worldId: newUuid(),
      outstandingId: newUuid(),
    },
  ).catch(explainRefusal);
  await insertCreditedTopup(trx, {
    id: toUuid(id),
    fundingAccountId: account.id,
    currency,
    amountMinor: amount,
    reference: draft.reference,
    transferId: newUuid(),
    worldId: account.worldId,
    availableId: account.availableId,
    audit: {
      id: newUuid(),
      actorId: draft.apiKeyId === null ? null : toUuid(draft.apiKeyId),
      actorKind: draft.apiKeyId === null ? 'admin' : 'api_key',
      requestId: draft.requestId,
    },
    createdAt: now,
  });
  return { ...draft, id, fundingAccountId: fromUuid('fac', account.id), createdAt: now };
}

function explainRefusal(error: unknown): never {
  if (violatedConstraint(error) === 'funding_accounts_sender_id_fkey') {
    throw new DomainError('validation_failed', 'there is no sender with this id', {
      pointer: '/sender_id',
      cause: error,
    });
  }
  throw error;
}
