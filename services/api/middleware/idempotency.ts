import type { Request, RequestHandler, Response } from 'express';
import type { IdempotencyAnswer, IdempotencyClaim } from '../../database/queries/idempotency.ts';
import { toUuid } from '../../domain/ids.ts';
import type { Once } from '../../domain/once.ts';
import type { Keyring } from '../../domain/recipients/keyring.ts';
import { Problem } from '../problem.ts';
import { principalOf } from './authenticate.ts';
import { isCarriable, refusedText } from './text.ts';
import { invalid } from './validate.ts';

/** What a request is answered with, and what its replay is answered with. */
export type Answer = { status: number; body: unknown; location: string | null };

/** Refuses a request that moves value without an Idempotency-Key of 1 to 255 characters. */
export const requireIdempotencyKey: RequestHandler = (request, _response, next) => {
  checkKey(keyOf(request));
  next();
};

/** Refuses a key that could not be one, where none is needed: what a dry run lets pass, the request itself must not refuse. */
export const refuseUnusableKey: RequestHandler = (request, _response, next) => {
  const key = request.get('idempotency-key');
  if (key) checkKey(key);
  next();
};

function checkKey(key: string): void {
  const detail = refusal(key);
  if (detail !== null) throw invalid([{ header: 'Idempotency-Key', detail }]);
}

export function idempotencyKeyMissing(): Problem {
  return new Problem(
    'idempotency_key_missing',
    'send an Idempotency-Key header: a new random value per operation, the same one when you repeat it',
  );
}

export type KeyClaim = Pick<IdempotencyClaim, 'scopeId' | 'key' | 'fingerprint' | 'otherFingerprints'>;

/** The caller's claim on their key; made before the transaction, so that no lock waits for it. */
export function keyClaim(keyring: Keyring, request: Request, response: Response): KeyClaim {
  return {
    scopeId: toUuid(principalOf(response).senderId),
    key: keyOf(request),
    ...fingerprints(keyring, request),
  };
}

/** Why a text can't be an idempotency key, or null. */
export function refusal(key: string): string | null {
  if ([...key].length > 255) return 'has more than 255 characters';
  return isCarriable(key) ? null : refusedText;
}

/** Answers what a change under a key led to. @throws Problem `idempotency_key_mismatch`, `idempotency_key_in_progress` */
export function sendOnce(response: Response, once: Once<unknown>): void {
  if (once.kind === 'done') sendAnswer(response, once.answer, false);
  else sendAnswer(response, earlierAnswer(once), true);
}

export function sendAnswer(response: Response, answer: Answer, replayed: boolean): void {
  if (replayed) response.setHeader('Idempotency-Replayed', 'true');
  if (answer.location !== null) response.setHeader('Location', answer.location);
  response.status(answer.status).json(answer.body);
}

function keyOf(request: Request): string {
  const key = request.get('idempotency-key');
  if (!key) throw idempotencyKeyMissing();
  return key;
}

/**
 * Hash of what was asked: method, path and body, whatever the order of the body's keys. Keyed, because all but the
 * address of a body can be read elsewhere in the database, and a plain hash would confirm every guess at it.
 */
function fingerprints(
  keyring: Keyring,
  request: Request,
): Pick<KeyClaim, 'fingerprint' | 'otherFingerprints'> {
  const asked = `${request.method} ${request.path}\n${JSON.stringify(canonical(request.body))}`;
  const others = keyring.lookup.versions.filter((version) => version !== keyring.lookup.current);
  return {
    fingerprint: keyring.hash('request-fingerprint', asked),
    otherFingerprints: others.map((version) => keyring.hash('request-fingerprint', asked, version)),
  };
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, canonical(inner)] as const);
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** What a key was answered with. @throws Problem when it has no answer for this request */
export function earlierAnswer(claimed: Exclude<IdempotencyAnswer, { kind: 'fresh' }>): Answer {
  switch (claimed.kind) {
    case 'replay':
      return { status: claimed.status, body: claimed.body, location: claimed.location };
    case 'mismatch':
      throw new Problem(
        'idempotency_key_mismatch',
        'this Idempotency-Key was used for a different request; use a new one',
      );
    case 'in_progress':
      throw new Problem(
        'idempotency_key_in_progress',
        'the first request with this Idempotency-Key is still running; repeat this one in a moment',
        { retryAfterSeconds: 1 },
      );
  }
}
