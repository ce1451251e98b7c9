import type { Settlement } from './decide-settlement.ts';
import type { Lease, LeaseKeeper } from './leases.ts';
import type { SettleAction } from './queue-observer.ts';
import type { Settler } from './settler.ts';

/** `error` undefined: SQS confirmed it. */
type Report = (action: SettleAction, error?: unknown) => void;

/** Carries out one decision in its right order, and reports each step. Never rejects. */
export async function settleMessage(
  { leases, settler }: { leases: LeaseKeeper; settler: Settler },
  lease: Lease,
  settlement: Settlement,
  report: Report,
): Promise<void> {
  if (settlement.kind === 'dead-letter') {
    // The lease is kept while the copy is on its way. Without a copy the original stays: the queue's own redrive policy
    // takes it in the end.
    const sent = await attempt('dead-letter', settler.sendToDeadLetters(lease, settlement), report);
    leases.remove(lease);
    if (sent) await attempt('delete', settler.delete(lease), report);
    return;
  }
  // No heartbeat from here on: it could only fail on a deleted message, or overwrite a chosen delay.
  leases.remove(lease);
  if (settlement.kind === 'none') return;
  if (settlement.kind === 'delete') {
    await attempt('delete', settler.delete(lease), report);
    return;
  }
  const seconds = settlement.kind === 'retry' ? settlement.delaySeconds : 0;
  await attempt('change-visibility', settler.changeVisibility(lease, seconds), report);
}

async function attempt(action: SettleAction, settled: Promise<void>, report: Report): Promise<boolean> {
  try {
    await settled;
    report(action);
    return true;
  } catch (error) {
    report(action, error);
    return false;
  }
}
