import type { Kysely } from 'kysely';
import { decideAccept } from '../../database/queries/accept-gifts.ts';
import type { Database } from '../../database/schema.ts';
import { type FundingAccountId, fromUuid } from '../ids.ts';
import type { OutboxWriter } from '../outbox.ts';
import { type AcceptRefusal, acceptRefusal } from './accept-refusal.ts';
import { toInsert } from './gift-insert.ts';
import type { PreparedGift } from './prepare-gift.ts';

export type TriedAccept =
  | { kind: 'acceptable'; at: Date; fundingAccountId: FundingAccountId; availableMinor: number }
  | AcceptRefusal;

/** A dry run has nobody behind it in a queue: it waits as long as a single accept may. */
const lockWaitMs = 500;

/** What would become of a gift now. Nothing is written, and no lock is held when the answer travels. */
export async function tryAccept(
  db: Kysely<Database>,
  { outbox }: { outbox: OutboxWriter },
  prepared: PreparedGift,
): Promise<TriedAccept> {
  const row = await decideAccept(db, toInsert(outbox, prepared, null), lockWaitMs);
  const { outcome, decided_at, funding_account_id, available_minor } = row;
  if (outcome === 'busy') return { kind: 'busy' };
  if (outcome !== 'accepted') return acceptRefusal(prepared.gift.value.currency, row);
  if (funding_account_id === null || available_minor === null) throw new Error('an account is missing');
  return {
    kind: 'acceptable',
    at: new Date(decided_at),
    fundingAccountId: fromUuid('fac', funding_account_id),
    availableMinor: available_minor,
  };
}
