import type { Kysely } from 'kysely';
import { violatedConstraint } from '../../database/errors.ts';
import { readDatabaseTime } from '../../database/queries/database-time.ts';
import {
  ensureFundingAccount,
  insertCreditedTopup,
  type TopupInsert,
} from '../../database/queries/funding.ts';
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
import { type Answer, type AskedKey, changeOnce, type Once } from '../once.ts';

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
 * with the first top-up in its currency. Under the key of whoever asks for it, with the answer that every repetition gets.
 * @throws DomainError `validation_failed` for a sender who does not exist, `unavailable`
 */
export async function creditTopupOnce(
  db: Kysely<Database>,
  draft: TopupDraft,
  { key, answerOf }: { key: AskedKey | null; answerOf: (topup: Topup) => Answer },
): Promise<Once<Topup>> {
  return await changeOnce(db, key, {
    // Dated by the clock that dates its transfer.
    read: () => readDatabaseTime(db),
    act: async (now) => {
      // Nobody's answer depends on it, and it may be there before its first money is: an account that holds nothing.
      const account = await ensureAccount(db, draft);
      const id = newId('top');
      const topup = { ...draft, id, fundingAccountId: fromUuid('fac', account.id), createdAt: now };
      const answer = answerOf(topup);
      const outcome = await insertCreditedTopup(db, toInsert(topup, account), key && { ...key, ...answer });
      return { outcome, answer, result: topup };
    },
  });
}

type Account = Awaited<ReturnType<typeof ensureFundingAccount>>;

function ensureAccount(db: Kysely<Database>, draft: TopupDraft): Promise<Account> {
  return ensureFundingAccount(
    db,
    { senderId: toUuid(draft.senderId), currency: draft.value.currency },
    {
      fundingAccountId: newUuid(),
      availableId: newUuid(),
      reservedId: newUuid(),
      worldId: newUuid(),
      outstandingId: newUuid(),
    },
  ).catch(explainRefusal);
}

function toInsert(topup: Topup, account: Account): TopupInsert {
  const { amount, currency } = topup.value;
  return {
    id: toUuid(topup.id),
    fundingAccountId: account.id,
    currency,
    amountMinor: amount,
    reference: topup.reference,
    transferId: newUuid(),
    audit: {
      id: newUuid(),
      actorId: topup.apiKeyId === null ? null : toUuid(topup.apiKeyId),
      actorKind: topup.apiKeyId === null ? 'admin' : 'api_key',
      requestId: topup.requestId,
    },
    createdAt: topup.createdAt,
  };
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
