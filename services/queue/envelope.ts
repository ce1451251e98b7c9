import { z } from 'zod';

/**
 * What a message body is: ids and times, never personal data, never a value that the database also knows. Strict: a field
 * that we do not know means that a newer producer is at work, and guessing at it could pay the wrong thing.
 */
const envelopeSchema = z.strictObject({
  type: z.string().regex(/^[a-z][a-z0-9_.-]{0,63}$/),
  version: z.int().min(1),
  id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  occurred_at: z.iso.datetime(),
  /** How many attempts the sender knew of. A hint for logs: the counter that decides lives in Postgres. */
  attempt_hint: z.int().min(0),
  traceparent: z
    .string()
    .regex(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/)
    .optional(),
  request_id: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/)
    .optional(),
});

export type Envelope = z.infer<typeof envelopeSchema>;

/** A body that no retry can make readable. `message` tells where it is wrong and never quotes the body. */
export class PoisonMessageError extends Error {
  override readonly name = 'PoisonMessageError';
  readonly code = 'poison';
}

/** @throws PoisonMessageError when a field would be refused by `decodeEnvelope`: better at the sender than in the queue. */
export function encodeEnvelope(envelope: Envelope): string {
  return JSON.stringify(parse(envelope));
}

/** @throws PoisonMessageError when the body is not JSON or not an envelope. */
export function decodeEnvelope(body: string): Envelope {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // The parser's own message quotes the body, which may hold what must not reach a log.
    throw new PoisonMessageError('body is not JSON');
  }
  return parse(value);
}

/** Same message, same key, however often it is delivered. */
export function messageKey(envelope: Pick<Envelope, 'type' | 'id'>): string {
  return `${envelope.type}:${envelope.id}`;
}

function parse(value: unknown): Envelope {
  const result = envelopeSchema.safeParse(value);
  if (result.success) return result.data;
  throw new PoisonMessageError(`body is not an envelope: ${result.error.issues.map(describe).join('; ')}`);
}

function describe(issue: z.core.$ZodIssue): string {
  const where = issue.path.length === 0 ? 'the whole' : issue.path.join('.');
  return `${where}: ${issue.code}`;
}
