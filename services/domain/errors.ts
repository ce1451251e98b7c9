import type { GiftId } from './ids.ts';

/** Stable codes of what the product refuses; `services/api` maps each to its HTTP status. */
export type ErrorCode =
  | 'validation_failed'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'state_conflict'
  | 'external_id_taken'
  | 'funding_insufficient'
  | 'funding_account_missing'
  | 'resend_too_soon'
  | 'resend_limit_reached'
  | 'claim_not_ready'
  | 'claim_unavailable'
  | 'idempotency_key_missing'
  | 'idempotency_key_mismatch'
  | 'idempotency_key_in_progress'
  | 'rate_limited'
  | 'unavailable';

export type DomainErrorOptions = {
  /** JSON Pointer into the request body, where one field is to blame */
  pointer?: string;
  /** whole seconds after which the same request may succeed */
  retryAfterSeconds?: number;
  /** the gift that stands in the way */
  giftId?: GiftId;
  cause?: unknown;
};

/** Something a caller did or asked that can't be done. The message is public: it names the problem and the fix. */
export class DomainError extends Error {
  readonly code: ErrorCode;
  readonly pointer: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly giftId: GiftId | undefined;

  constructor(code: ErrorCode, message: string, options: DomainErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'DomainError';
    this.code = code;
    this.pointer = options.pointer;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.giftId = options.giftId;
  }
}
