import type { VerdictInput, VerdictScope } from '../database/queries/dead-letters.ts';
import { newUuid } from '../domain/ids.ts';
import type { QueueMessage } from '../queue/message.ts';
import type { Run } from './run.ts';
import type { Judgement } from './seen-letter.ts';

const reasonLimit = 1_000;

/** A verdict as it is recorded. The body is kept where the queue will not have it any more. */
export function toVerdictRow({ letter, verdict, rule, archive }: Judgement, pardoned = false): VerdictInput {
  const keepBody = verdict === 'quarantine' || archive;
  const { message } = letter;
  return {
    id: newUuid(),
    message_id: message.messageId,
    message_key: letter.key,
    gift_id: letter.giftId,
    class: letter.class,
    reason: storable(letter.reason.slice(0, reasonLimit)),
    receive_count: message.receiveCount,
    sent_at: message.sentAt.toISOString(),
    verdict,
    rule,
    body: keepBody ? storable(message.body) : null,
    attributes: keepBody ? keptAttributes(message) : null,
    archived: archive,
    pardoned,
  };
}

export function scopeOf(run: Run): VerdictScope {
  return { queue: run.policy.queue, runId: run.id, seenAt: run.startedAt };
}

/** All that a person needs to send the message again by hand. */
function keptAttributes({ attributes, groupId, traceHeader }: QueueMessage): Record<string, unknown> {
  const entries = Object.entries(attributes).map(([name, value]) => [
    storable(name),
    {
      type: value.DataType,
      ...(value.StringValue === undefined ? {} : { text: storable(value.StringValue) }),
      ...(value.BinaryValue === undefined
        ? {}
        : { base64: Buffer.from(value.BinaryValue).toString('base64') }),
    },
  ]);
  return {
    attributes: Object.fromEntries(entries),
    ...(groupId === undefined ? {} : { group_id: storable(groupId) }),
    ...(traceHeader === undefined ? {} : { trace_header: storable(traceHeader) }),
  };
}

/**
 * PostgreSQL has no U+0000 in texts and no lone surrogates: one such body would stop every run at the same message. Comes
 * after any cut, which may go through a character and leave half of it.
 */
function storable(text: string): string {
  return text.replaceAll('\u0000', '\uFFFD').toWellFormed();
}
