import type { Response } from 'express';
import { isTransientDatabaseError } from '../database/errors.ts';
import { DomainError } from '../domain/errors.ts';
import { scrubText } from '../observability/scrub.ts';
import { requestIdOf } from './middleware/request-context.ts';
import { type FieldError, Problem, type ProblemOptions, problemKinds } from './problem.ts';

/** Any error as the problem that the caller is told of. The unknown tells nothing. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof DomainError) return fromDomain(error);
  const parsing = fromBodyParser(error) ?? fromClientError(error);
  if (parsing) return parsing;
  if (isTransientDatabaseError(error)) {
    return new Problem('unavailable', 'the service is not available for the moment; try again', {
      retryAfterSeconds: 2,
      cause: error,
    });
  }
  return new Problem('internal_error', 'an unexpected error; quote the request_id when you report it', {
    cause: error,
  });
}

/** Answers with RFC 9457 problem details. */
export function sendProblem(response: Response, problem: Problem): void {
  const { status, title, retryable } = problemKinds[problem.code];
  const errors = problem.errors.map(scrubbed);
  if (problem.retryAfterSeconds !== undefined) {
    response.setHeader('Retry-After', String(Math.max(1, Math.ceil(problem.retryAfterSeconds))));
  }
  response
    .status(status)
    .set(problem.headers)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: `urn:largesse:problem:${problem.code}`,
        title,
        status,
        // The name of a field that we don't know is the caller's text, and may be anything.
        detail: scrubText(problem.message),
        code: problem.code,
        request_id: requestIdOf(response),
        retryable,
        ...(problem.giftId === undefined ? {} : { gift_id: problem.giftId }),
        ...(errors.length > 0 ? { errors } : {}),
      }),
    );
}

function fromDomain(error: DomainError): Problem {
  const { code, message, pointer, retryAfterSeconds, giftId, cause } = error;
  const options: ProblemOptions = { cause };
  if (pointer !== undefined) options.errors = [{ pointer, detail: message }];
  if (retryAfterSeconds !== undefined) options.retryAfterSeconds = retryAfterSeconds;
  if (giftId !== undefined) options.giftId = giftId;
  if (code === 'unauthenticated') {
    options.headers = { 'WWW-Authenticate': 'Bearer realm="largesse", error="invalid_token"' };
  }
  return new Problem(code, message, options);
}

/** What express.raw throws. */
function fromBodyParser(error: unknown): Problem | null {
  if (!(error instanceof Error) || !('type' in error)) return null;
  switch (error.type) {
    case 'entity.too.large':
      return new Problem('payload_too_large', 'the body may have at most 64 KiB');
    case 'encoding.unsupported':
    case 'charset.unsupported':
      return new Problem('unsupported_media_type', 'send UTF-8, uncompressed or with gzip, deflate or br');
    case 'request.aborted':
    case 'request.size.invalid':
      return new Problem('malformed_body', 'the body can not be read');
    default:
      return null;
  }
}

/** What libraries throw at a request that can't be read: a path that doesn't decode, a body that doesn't inflate. */
function fromClientError(error: unknown): Problem | null {
  if (!(error instanceof Error) || !('status' in error) || !isClientError(error.status)) return null;
  return error instanceof URIError
    ? new Problem('not_found', 'there is nothing at this path', { cause: error })
    : new Problem('malformed_body', 'the body can not be read', { cause: error });
}

const isClientError = (status: unknown) => typeof status === 'number' && status >= 400 && status < 500;

/** A pointer names keys that the caller chose; a key may look like an address. */
function scrubbed(error: FieldError): FieldError {
  return Object.fromEntries(
    Object.entries(error).map(([name, text]) => [name, scrubText(text)]),
  ) as FieldError;
}
