import type { ErrorRequestHandler } from 'express';
import { storedAnswer } from '../../database/queries/idempotency.ts';
import type { ApiDeps } from '../deps.ts';
import { Problem } from '../problem.ts';
import { keyClaim, refusal, sendAnswer } from './idempotency.ts';

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
    const stored = await storedAnswer(db, keyClaim(keyring, request, response));
    if (stored?.kind !== 'replay') return next(error);
    sendAnswer(response, stored, true);
  };
}
