import type { VoucherState } from '../../database/states.ts';

/** Where each state may go. The database refuses everything else too (vouchers_transition_legal). */
export const voucherTransitions: Readonly<Record<VoucherState, readonly VoucherState[]>> = {
  active: ['partially_redeemed', 'exhausted', 'frozen', 'expired', 'cancelled'],
  partially_redeemed: ['active', 'exhausted', 'frozen', 'expired'],
  exhausted: ['partially_redeemed', 'active'],
  frozen: ['active', 'partially_redeemed', 'expired', 'cancelled'],
  expired: [],
  cancelled: [],
};
