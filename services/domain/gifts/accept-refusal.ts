import type { InsertedGift } from '../../database/queries/accept-gifts.ts';
import { DomainError } from '../errors.ts';
import { fromUuid } from '../ids.ts';

export type AcceptRefusal =
  | { kind: 'refused'; error: DomainError }
  /** not within the time that it may be accepted in; `at` is what the database's clock said */
  | { kind: 'untimely'; at: Date }
  | { kind: 'busy' }
  /** the database would not have this very row, and nobody foresaw it */
  | { kind: 'illegal'; error: Error };

type Refused = Pick<InsertedGift, 'outcome' | 'decided_at' | 'other_id' | 'sqlstate' | 'refused_by'>;

/** Why a gift was not accepted. */
export function acceptRefusal(currency: string, row: Refused): AcceptRefusal {
  switch (row.outcome) {
    case 'unfunded':
      return { kind: 'refused', error: fundingAccountMissing(currency) };
    case 'insufficient':
      return { kind: 'refused', error: fundingInsufficient() };
    case 'external_id_taken':
      return { kind: 'refused', error: externalIdTaken(row.other_id) };
    case 'untimely':
      return { kind: 'untimely', at: new Date(row.decided_at) };
    default:
      return illegal(row);
  }
}

/** Something else became unique under our eyes: who was faster is seen when it is decided again. */
const lostRace = '23505';

function illegal({ sqlstate, refused_by }: Refused): AcceptRefusal {
  if (sqlstate === lostRace) return { kind: 'busy' };
  const error = new Error(
    `the database refused a gift: ${sqlstate ?? 'no code'}, ${refused_by ?? 'no constraint'}`,
  );
  return { kind: 'illegal', error };
}

function fundingAccountMissing(currency: string): DomainError {
  return new DomainError(
    'funding_account_missing',
    `you have no funding account in ${currency}; ask an administrator for a top-up in ${currency}, then repeat the request`,
    { pointer: '/value/currency' },
  );
}

function fundingInsufficient(): DomainError {
  return new DomainError(
    'funding_insufficient',
    'the funding account does not hold enough; top it up and repeat the request with the same Idempotency-Key',
    { pointer: '/value/amount' },
  );
}

function externalIdTaken(giftId: string | null): DomainError {
  return new DomainError(
    'external_id_taken',
    'you used this external_id for another gift; choose a new one',
    {
      pointer: '/external_id',
      ...(giftId === null ? {} : { giftId: fromUuid('gft', giftId) }),
    },
  );
}
