export type FailureClass = 'transient' | 'permanent' | 'poison' | 'unknown';
/** Whose a failure is. Only what is proven to be of this one recipient is the `item`'s. */
export type FailureOwner = 'item' | 'us' | 'peer' | 'unknown';
export type GiftState =
  | 'held'
  | 'scheduled'
  | 'queued'
  | 'delivering'
  | 'delivered'
  | 'claimed'
  | 'failed'
  | 'rejected'
  | 'cancelled'
  | 'expired';
export type VoucherState = 'active' | 'partially_redeemed' | 'exhausted' | 'frozen' | 'expired' | 'cancelled';
export type DeliveryState =
  | 'pending'
  | 'sending'
  | 'sent'
  | 'deferred'
  | 'delivered'
  | 'bounced'
  | 'complained'
  | 'suppressed'
  | 'failed';
export type DeliveryPurpose = 'gift' | 'resend' | 'reminder';
export type TopupState = 'created' | 'credited' | 'rejected' | 'reversed';
export type AttemptOutcome =
  | 'started'
  | 'sent'
  | 'retry'
  | 'dead_letter'
  | 'interrupted'
  | 'superseded'
  | 'in_doubt';
export type Channel = 'email' | 'wallet';
export type Binding = 'bearer' | 'email_otp' | 'wallet_signature';
export type Role = 'sender' | 'reviewer' | 'merchant' | 'operator' | 'auditor' | 'admin';
export type TransferKind =
  | 'topup'
  | 'refund'
  | 'dispute'
  | 'owe'
  | 'repay'
  | 'write_off'
  | 'fee'
  | 'reserve'
  | 'commit'
  | 'release'
  | 'return'
  | 'redeem'
  | 'rollback'
  | 'hold'
  | 'capture'
  | 'void'
  | 'lapse'
  | 'escheat'
  | 'reissue_out'
  | 'reissue_in';
export type TransferSubjectKind = 'gift' | 'topup' | 'voucher' | 'funding_account';
export type LedgerAccountKind =
  | 'world'
  | 'available'
  | 'reserved'
  | 'owing'
  | 'outstanding'
  | 'held'
  | 'redeemed'
  | 'reissuing'
  | 'escheated'
  | 'fees'
  | 'written_off';
export type ActorKind = 'api_key' | 'recipient' | 'consumer' | 'reconciler' | 'schedule' | 'admin';
export type Verdict = 'redrive' | 'quarantine' | 'discard' | 'wait';
