/** What an API server answered, or that none answered. Its message holds no header and no token. */
export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  /** HTTP status; null when there was no answer */
  readonly status: number | null;
  /** the server's word (`Conflict`, `NotFound`), `Unreachable`, or `NoAccess` */
  readonly reason: string;
  readonly retryAfterMs: number;

  constructor(answer: {
    status?: number;
    reason: string;
    message: string;
    retryAfterMs?: number;
    cause?: unknown;
  }) {
    super(answer.message, { cause: answer.cause });
    this.status = answer.status ?? null;
    this.reason = answer.reason;
    this.retryAfterMs = answer.retryAfterMs ?? 0;
  }

  /** The same request may succeed later: nobody answered, too many asked, or the server has a fault. */
  get isPassing(): boolean {
    return this.reason === 'Unreachable' || this.status === 429 || (this.status ?? 0) >= 500;
  }
}

export function hasStatus(error: unknown, status: number): error is KubernetesError {
  return error instanceof KubernetesError && error.status === status;
}
