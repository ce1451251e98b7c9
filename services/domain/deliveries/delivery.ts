import type { DeliveryState } from '../../database/states.ts';

/**
 * Where each state may go. The database refuses everything else too (deliveries_transition_legal). What was sent is
 * never sent again: only the recipient's mail server has a word in it from then on, and it may change its mind.
 */
export const deliveryTransitions: Readonly<Record<DeliveryState, readonly DeliveryState[]>> = {
  pending: ['sending', 'suppressed', 'failed'],
  sending: ['pending', 'sent', 'deferred', 'suppressed', 'failed'],
  deferred: ['pending', 'sending', 'suppressed', 'failed'],
  sent: ['delivered', 'bounced', 'complained'],
  delivered: ['bounced', 'complained'],
  bounced: [],
  complained: [],
  suppressed: [],
  failed: [],
};
