import { z } from 'zod';
import type { GiftState } from '../../../database/states.ts';
import { giftStates, reachableGiftStates } from '../../../domain/gifts/gift.ts';
import type { TimelineEntry } from '../../../domain/gifts/timeline.ts';
import { fromUuid } from '../../../domain/ids.ts';

const timestamp = z.iso.datetime();
/** What the gift became by an entry, or null when the entry changed nothing about that. */
const stateSchema = z.enum(reachableGiftStates).nullable().meta({
  description:
    'The state that the gift came into by this entry. What followed from an attempt is told by the entries after it; one that was `interrupted` has none and left the gift `queued` at `finished_at`.',
});
const failureClass = z.enum(['transient', 'permanent', 'poison', 'unknown']);

const eventSchema = z.object({
  id: z.string(),
  object: z.literal('audit_record'),
  at: timestamp,
  state: stateSchema,
  action: z.string().meta({ examples: ['gift.accepted'] }),
  actor: z.object({ kind: z.string(), id: z.string().nullable() }),
  request_id: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
});

const attemptSchema = z.object({
  id: z.string(),
  object: z.literal('delivery_attempt'),
  at: timestamp,
  state: stateSchema,
  delivery_id: z.string(),
  purpose: z.enum(['gift', 'resend', 'reminder']),
  channel: z.enum(['email', 'wallet']),
  number: z.int(),
  outcome: z.enum(['started', 'sent', 'retry', 'dead_letter', 'interrupted', 'superseded', 'in_doubt']),
  class: failureClass.nullable(),
  code: z.string().nullable(),
  reason: z.string().nullable(),
  message_id: z.string().nullable(),
  receive_count: z.int().nullable(),
  finished_at: timestamp.nullable(),
  next_attempt_at: timestamp.nullable(),
});

const deadLetterSchema = z.object({
  id: z.string(),
  object: z.literal('dead_letter'),
  at: timestamp,
  state: stateSchema,
  queue: z.string(),
  message_id: z.string(),
  class: failureClass,
  reason: z.string(),
  receive_count: z.int(),
  verdict: z.enum(['redrive', 'quarantine', 'discard', 'wait']),
  rule: z.string().nullable(),
  applied_at: timestamp.nullable(),
});

/** The shapes that a timeline is made of, told apart by `object`. */
export const timelineEntrySchema = z
  .discriminatedUnion('object', [eventSchema, attemptSchema, deadLetterSchema])
  .meta({ id: 'TimelineEntry' });

export type TimelineResource = z.output<typeof timelineEntrySchema>;

export function timelineResource(entry: TimelineEntry): TimelineResource {
  const at = entry.at.toISOString();
  switch (entry.kind) {
    case 'event':
      return eventResource(entry.record, at);
    case 'attempt':
      return attemptResource(entry.attempt, at);
    case 'dead_letter': {
      const { id, first_seen_at: _seen, applied_at: appliedAt, ...letter } = entry.letter;
      return {
        id: fromUuid('ddl', id),
        object: 'dead_letter',
        at,
        state: null,
        ...letter,
        applied_at: appliedAt?.toISOString() ?? null,
      };
    }
  }
}

type Entry<Kind extends TimelineEntry['kind']> = Extract<TimelineEntry, { kind: Kind }>;

function eventResource(record: Entry<'event'>['record'], at: string): TimelineResource {
  return {
    id: fromUuid('aud', record.id),
    object: 'audit_record',
    at,
    state: stateAfter(record),
    action: record.action,
    actor: { kind: record.actor_kind, id: actorId(record) },
    request_id: record.request_id,
    data: withOurTimes(record.data),
  };
}

/** Times in an audit record are as Postgres writes them into JSON; here they look as everywhere else. */
function withOurTimes(data: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(data).map(([name, value]) => [name, asOurTime(name, value)]));
}

function asOurTime(name: string, value: unknown): unknown {
  if (typeof value !== 'string' || !/_(?:at|until)$/.test(name)) return value;
  const time = new Date(value);
  return Number.isNaN(time.getTime()) ? value : time.toISOString();
}

/**
 * `gift.<state>` names the state. Other actions tell it in their data where there is one: an accept whether the gift was
 * queued or scheduled, a delivery that did not succeed that it is queued again.
 */
export function stateAfter({
  action,
  data,
}: {
  action: string;
  data: Record<string, unknown>;
}): GiftState | null {
  const named = data['state'] ?? action.replace(/^gift\./, '');
  return giftStates.find((state) => state === named) ?? null;
}

function actorId({ actor_kind: kind, actor_id: id }: Entry<'event'>['record']): string | null {
  if (id === null) return null;
  return kind === 'api_key' ? fromUuid('key', id) : id;
}

function attemptResource(attempt: Entry<'attempt'>['attempt'], at: string): TimelineResource {
  const { started_at: _started, ...rest } = attempt;
  return {
    ...rest,
    id: fromUuid('dat', attempt.id),
    object: 'delivery_attempt',
    at,
    state: attempt.purpose === 'gift' ? 'delivering' : null,
    delivery_id: fromUuid('dlv', attempt.delivery_id),
    finished_at: attempt.finished_at?.toISOString() ?? null,
    next_attempt_at: attempt.next_attempt_at?.toISOString() ?? null,
  };
}
