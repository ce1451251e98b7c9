import type { ErrorCode } from '../domain/errors.ts';

/** Codes of the domain, and what only HTTP can get wrong. */
export type ProblemCode =
  | ErrorCode
  | 'malformed_body'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'method_not_allowed'
  | 'internal_error';

/** One thing wrong with a request: where (a JSON Pointer into the body, a parameter or a header) and what. */
export type FieldError = { pointer?: string; parameter?: string; header?: string; detail: string };

export type ProblemOptions = {
  errors?: FieldError[];
  retryAfterSeconds?: number;
  headers?: Record<string, string>;
  /** the gift that stands in the way */
  giftId?: string;
  cause?: unknown;
};

/** What a request is refused with. `detail` is public: it never holds what the caller sent. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly errors: readonly FieldError[];
  readonly retryAfterSeconds: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly giftId: string | undefined;

  constructor(code: ProblemCode, detail: string, options: ProblemOptions = {}) {
    super(detail, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'Problem';
    this.code = code;
    this.errors = options.errors ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.headers = options.headers ?? {};
    this.giftId = options.giftId;
  }
}

export type ProblemKind = {
  status: number;
  title: string;
  /** whether the very same request may succeed later */
  retryable: boolean;
};

/** The one place where a code becomes HTTP. */
export const problemKinds: Readonly<Record<ProblemCode, ProblemKind>> = {
  malformed_body: { status: 400, title: 'The body can not be read', retryable: false },
  idempotency_key_missing: { status: 400, title: 'Idempotency-Key is missing', retryable: false },
  unauthenticated: { status: 401, title: 'Not authenticated', retryable: false },
  funding_insufficient: { status: 402, title: 'Not enough funds', retryable: true },
  forbidden: { status: 403, title: 'Not allowed', retryable: false },
  not_found: { status: 404, title: 'Not found', retryable: false },
  method_not_allowed: { status: 405, title: 'Method not allowed', retryable: false },
  state_conflict: { status: 409, title: 'The state does not allow this', retryable: false },
  external_id_taken: { status: 409, title: 'external_id is taken', retryable: false },
  resend_limit_reached: { status: 409, title: 'Resent too often', retryable: false },
  idempotency_key_in_progress: { status: 409, title: 'The first request is still running', retryable: true },
  claim_not_ready: { status: 409, title: 'The gift is still on its way', retryable: true },
  claim_unavailable: { status: 410, title: 'The gift can not be claimed', retryable: false },
  payload_too_large: { status: 413, title: 'The body is too large', retryable: false },
  unsupported_media_type: { status: 415, title: 'Unsupported content type', retryable: false },
  validation_failed: { status: 422, title: 'The request is not valid', retryable: false },
  idempotency_key_mismatch: { status: 422, title: 'Idempotency-Key was used before', retryable: false },
  funding_account_missing: { status: 422, title: 'No funding account', retryable: true },
  rate_limited: { status: 429, title: 'Too many requests', retryable: true },
  resend_too_soon: { status: 429, title: 'Resent too soon', retryable: true },
  internal_error: { status: 500, title: 'Internal error', retryable: true },
  unavailable: { status: 503, title: 'Unavailable', retryable: true },
};
