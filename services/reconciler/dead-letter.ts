import { createHash } from 'node:crypto';
import type { FailureClass } from '../database/states.ts';
import { type Message, messageKey, parseMessage } from '../domain/messages.ts';
import { decodeEnvelope, type Envelope, PoisonMessageError } from '../queue/envelope.ts';
import type { QueueMessage } from '../queue/message.ts';
import { creationContext, formatTraceparent } from '../queue/trace-context.ts';

/** A message of a dead-letter queue, as far as it tells about itself. */
export type DeadLetter = {
  message: QueueMessage;
  /** the same for every copy of a message, whatever SQS calls it: `gift.deliver:gft_…` */
  key: string;
  class: FailureClass;
  /** why it died; a fixed text of ours unless another producer wrote the attribute */
  reason: string;
  /** what it asks for; null when it is poison */
  content: Message | null;
  requestId: string | null;
  /** W3C traceparent of its creation */
  traceparent: string | undefined;
};

/** Reads body and attributes; never throws: what can't be read is poison. Pure. */
export function readDeadLetter(message: QueueMessage): DeadLetter {
  const origin = creationContext(message);
  const traceparent = origin === undefined ? undefined : formatTraceparent(origin);
  const read = parse(message.body);
  if ('poison' in read) {
    return {
      message,
      key: poisonKey(message.body),
      class: 'poison',
      reason: read.poison,
      content: null,
      requestId: null,
      traceparent,
    };
  }
  return {
    message,
    key: messageKey(read.content),
    class: recordedClass(message),
    reason: recorded(message, 'dead_letter_reason') ?? movedBySqs,
    content: read.content,
    requestId: read.envelope.request_id ?? null,
    traceparent,
  };
}

/** SQS moves a message itself when it was received too often: then nobody has written down why. */
const movedBySqs = 'received too often without an outcome (maxReceiveCount)';

function parse(body: string): { envelope: Envelope; content: Message } | { poison: string } {
  try {
    const envelope = decodeEnvelope(body);
    return { envelope, content: parseMessage(envelope) };
  } catch (error) {
    // zod's own words may quote the body; where it is wrong, our decoder has said without a quotation.
    if (error instanceof PoisonMessageError) return { poison: error.message };
    return { poison: 'body is an envelope of an unknown type, version or id' };
  }
}

const classes: ReadonlySet<string> = new Set<FailureClass>(['transient', 'permanent', 'poison', 'unknown']);

function recordedClass(message: QueueMessage): FailureClass {
  const text = recorded(message, 'dead_letter_class') ?? '';
  return classes.has(text) ? (text as FailureClass) : 'unknown';
}

function recorded(message: QueueMessage, name: string): string | undefined {
  return message.attributes[name]?.StringValue;
}

/** A poison message has no id of its own: the same bytes are the same message, or its redrives could not be counted. */
function poisonKey(body: string): string {
  return `poison:${createHash('sha256').update(body).digest('hex').slice(0, 32)}`;
}
