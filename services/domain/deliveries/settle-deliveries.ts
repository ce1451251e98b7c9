import type { Kysely } from 'kysely';
import { settleClaimedDeliveries } from '../../database/queries/settle-deliveries.ts';
import type { Database } from '../../database/schema.ts';
import type { Failure } from '../failure-classes.ts';
import { type DeliveryId, newUuid, toUuid } from '../ids.ts';

/** What is kept of a failure. */
type RecordedFailure = Pick<Failure, 'class' | 'code' | 'reason'>;

/** What became of a claimed delivery. */
export type Settlement = { deliveryId: DeliveryId; attempt: number } & (
  | { outcome: 'sent' }
  /** `forgiven`: it says nothing of this delivery, so it does not count towards the retry limit */
  | { outcome: 'retry'; failure: RecordedFailure; retrySeconds: number; forgiven?: boolean }
  /** the recipient may have the mail; null when it will not be sent again */
  | { outcome: 'in_doubt'; failure: RecordedFailure; repeatSeconds: number | null }
  /** given back before anything was tried, by a process that is shutting down: costs no attempt */
  | { outcome: 'interrupted' }
  /** `final`: it is given up for good, where a dead letter may be redriven */
  | { outcome: 'dead_letter'; failure: RecordedFailure; final?: boolean }
);

/**
 * `overtaken`: another worker had taken it over meanwhile, whose outcome counts; `locked`: somebody holds its gift at this
 * moment, and nothing was recorded
 */
export type Settled = 'recorded' | 'overtaken' | 'locked';

/** Records outcomes and, for gifts that were sent, commits their money: one statement for all. Nobody's lock is waited for. */
export async function settleDeliveries(
  db: Kysely<Database>,
  settlements: Settlement[],
): Promise<ReadonlyMap<DeliveryId, Settled>> {
  const rows = await settleClaimedDeliveries(db, settlements.map(toInput));
  const byId = new Map(rows.map((row) => [row.delivery_id, row.settled]));
  return new Map(
    settlements.map(({ deliveryId }) => [deliveryId, byId.get(toUuid(deliveryId)) ?? 'overtaken']),
  );
}

function toInput(settlement: Settlement) {
  const failure = 'failure' in settlement ? settlement.failure : null;
  return {
    delivery_id: toUuid(settlement.deliveryId),
    attempt: settlement.attempt,
    outcome: settlement.outcome,
    class: failure?.class ?? null,
    code: failure?.code ?? null,
    reason: failure?.reason ?? null,
    next_attempt_seconds: settlement.outcome === 'retry' ? settlement.retrySeconds : null,
    forgiven: settlement.outcome === 'retry' && settlement.forgiven === true,
    repeat_seconds: settlement.outcome === 'in_doubt' ? settlement.repeatSeconds : null,
    final: settlement.outcome === 'dead_letter' && settlement.final === true,
    transfer_id: newUuid(),
    audit_ids: [newUuid(), newUuid()] as [string, string],
  };
}
