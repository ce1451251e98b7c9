import type { ErrorRequestHandler } from 'express';
import { storedAnswer } from '../../database/queries/idempotency.ts';
import type { ApiDeps } from '../deps.ts';
import { Problem } from '../problem.ts';
import { type KeyClaim, keyClaim, refusal, sendAnswer } from './idempotency.ts';

/**
 * Behind the check of a body: what an earlier release has accepted is answered as it was, also when this one would refuse it
 * (a currency has left the list, a check became stricter). Refused, whoever lost the first answer would give once more.
 */
export function earlierAnswerBeforeRefusal({ db, keyring }: ApiDeps): ErrorRequestHandler {
  return async (error, request, response, next) => {
    const key = request.get('idempotency-key');
    const concernsBody =
      error instanceof Problem && error.errors.some(({ pointer }) => pointer !== undefined);
    if (!concernsBody || !key || refusal(key) !== null) return next(error);
    const claim = claimUnlessTooDeep(keyring, request, response);
    const stored = claim && (await storedAnswer(db, claim));
    if (stored?.kind !== 'replay') return next(error);
    sendAnswer(response, stored, true);
  };
}

/** Nobody has checked this body, and one of 30,000 nested arrays is too deep to be hashed: it was never accepted. */
function claimUnlessTooDeep(...asked: Parameters<typeof keyClaim>): KeyClaim | null {
  try {
    return keyClaim(...asked);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
