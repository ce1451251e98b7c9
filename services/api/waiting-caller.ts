import type { Response } from 'express';
import { Problem } from './problem.ts';

/** Shorter than what clients wait (30 s and more), so that they are told, and longer than any healthy accept takes. */
const patienceMs = 10_000;

/** The caller went away before the answer; there is nobody to tell. */
export class CallerGone extends Error {}

export type WaitingCaller = { signal: AbortSignal; [Symbol.dispose]: () => void };

/**
 * Whether somebody still waits for this answer. Work in memory that outlives its caller is done behind their back: they
 * have asked elsewhere by then, and been told something else. Aborted with `CallerGone`, or with a problem to answer.
 */
export function waitingCaller(response: Response, waitMs = patienceMs): WaitingCaller {
  const waiting = new AbortController();
  const onClose = () => waiting.abort(new CallerGone('the caller went away'));
  const timer = setTimeout(() => waiting.abort(tookTooLong()), waitMs);
  if (response.closed) onClose();
  response.once('close', onClose);
  return {
    signal: waiting.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      response.off('close', onClose);
    },
  };
}

function tookTooLong(): Problem {
  return new Problem(
    'unavailable',
    'this took too long; repeat the request with the same Idempotency-Key, which never makes a second gift',
    { retryAfterSeconds: 2 },
  );
}
