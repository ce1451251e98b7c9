import type { LedgerAccountKind, TransferKind, TransferSubjectKind } from './states.ts';

/** What a transfer of a kind moves money between, and what it is about. */
export type TransferRule = {
  from: LedgerAccountKind;
  to: LedgerAccountKind;
  subject: TransferSubjectKind;
  /** `subject`: once per subject, caused by it. `cause`: as often as it has causes, once for each. */
  once: 'subject' | 'cause';
};

/**
 * Every movement of money there is; the constraints of the ledger say the same, and a test compares them. Each kind has one
 * source and one destination: what takes more (a dispute of money that is spent already) is two transfers of one cause.
 */
export const transferRules: Readonly<Record<TransferKind, TransferRule>> = {
  topup: { from: 'world', to: 'available', subject: 'topup', once: 'subject' },
  refund: { from: 'available', to: 'world', subject: 'topup', once: 'cause' },
  dispute: { from: 'available', to: 'world', subject: 'topup', once: 'cause' },
  owe: { from: 'owing', to: 'world', subject: 'topup', once: 'cause' },
  repay: { from: 'available', to: 'owing', subject: 'funding_account', once: 'cause' },
  write_off: { from: 'written_off', to: 'owing', subject: 'funding_account', once: 'cause' },
  fee: { from: 'available', to: 'fees', subject: 'funding_account', once: 'cause' },
  reserve: { from: 'available', to: 'reserved', subject: 'gift', once: 'subject' },
  commit: { from: 'reserved', to: 'outstanding', subject: 'gift', once: 'subject' },
  release: { from: 'reserved', to: 'available', subject: 'gift', once: 'subject' },
  return: { from: 'outstanding', to: 'available', subject: 'gift', once: 'subject' },
  redeem: { from: 'outstanding', to: 'redeemed', subject: 'voucher', once: 'cause' },
  rollback: { from: 'redeemed', to: 'outstanding', subject: 'voucher', once: 'cause' },
  hold: { from: 'outstanding', to: 'held', subject: 'voucher', once: 'cause' },
  capture: { from: 'held', to: 'redeemed', subject: 'voucher', once: 'cause' },
  void: { from: 'held', to: 'outstanding', subject: 'voucher', once: 'cause' },
  lapse: { from: 'outstanding', to: 'available', subject: 'voucher', once: 'cause' },
  escheat: { from: 'outstanding', to: 'escheated', subject: 'voucher', once: 'cause' },
  reissue_out: { from: 'outstanding', to: 'reissuing', subject: 'voucher', once: 'cause' },
  reissue_in: { from: 'reissuing', to: 'outstanding', subject: 'voucher', once: 'cause' },
};

/** Accounts that each funding account has of its own; of all others there is one per currency. */
export const ownAccountKinds: readonly LedgerAccountKind[] = ['available', 'reserved', 'owing'];
