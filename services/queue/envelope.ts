import { z } from 'zod';

const type = z.string().regex(/^[a-z][a-z0-9_.-]{0,63}$/);
const version = z.int().min(1);
const traceparent = z.string().regex(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
const requestId = z.string().regex(/^[\x21-\x7e]{1,128}$/);

/** What a message body is: ids and times, never personal data, never a value that the database also knows. */
const writtenSchema = z.strictObject({
  type,
  version,
  id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  occurred_at: z.iso.datetime(),
  /** How many attempts the sender knew of. A hint for logs: the counter that decides lives in Postgres. */
  attempt_hint: z.int().min(0),
  traceparent: traceparent.optional(),
  request_id: requestId.optional(),
});

/**
 * As much of it as every release, older or newer, must agree on: what it asks for, and in which version. What a version
 * means by its other fields is for whoever knows it to say; a field that is added is ignored by those who do not, and a
 * hint that is written otherwise is no hint. A later one may well name types and count versions in another way.
 */
const readSchema = z.object({
  type: z.string().regex(/^\w[\w.:/-]{0,127}$/),
  version: z.union([z.number().positive(), z.string().regex(/^v?\d[\w.-]{0,31}$/)]),
  id: z.unknown().optional(),
  traceparent: traceparent.optional().catch(undefined),
  request_id: requestId.optional().catch(undefined),
});

export type Envelope = z.infer<typeof writtenSchema>;
export type ReceivedEnvelope = z.infer<typeof readSchema>;

/** A body that no retry can make readable. `message` tells where it is wrong and never quotes the body. */
export class PoisonMessageError extends Error {
  override readonly name = 'PoisonMessageError';
  readonly code = 'poison';
}

/** @throws PoisonMessageError when a field is not as it is to be written: better at the sender than in the queue. */
export function encodeEnvelope(envelope: Envelope): string {
  return JSON.stringify(parse(writtenSchema, envelope));
}

/** @throws PoisonMessageError when the body is not JSON or not an envelope of any release. */
export function decodeEnvelope(body: string): ReceivedEnvelope {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // The parser's own message quotes the body, which may hold what must not reach a log.
    throw new PoisonMessageError('body is not JSON');
  }
  return parse(readSchema, value);
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new PoisonMessageError(`body is not an envelope: ${result.error.issues.map(describe).join('; ')}`);
}

function describe(issue: z.core.$ZodIssue): string {
  const where = issue.path.length === 0 ? 'the whole' : issue.path.join('.');
  return `${where}: ${issue.code}`;
}
