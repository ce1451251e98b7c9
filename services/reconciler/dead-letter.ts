import { createHash } from 'node:crypto';
import type { FailureClass } from '../database/states.ts';
import { type Message, messageKey, type NotUnderstood, readMessage } from '../domain/messages.ts';
import { decodeEnvelope, PoisonMessageError, type ReceivedEnvelope } from '../queue/envelope.ts';
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
  /** what it asks for; null when it is poison, or of another release */
  content: Message | null;
  /** its type or version is of another release, which will know what to do with it */
  foreign: boolean;
  requestId: string | null;
  /** W3C traceparent of its creation */
  traceparent: string | undefined;
};

/** Reads body and attributes; never throws: what can't be read is poison. Pure. */
export function readDeadLetter(message: QueueMessage): DeadLetter {
  const origin = creationContext(message);
  const traceparent = origin === undefined ? undefined : formatTraceparent(origin);
  const read = parse(message.body);
  if ('content' in read) {
    return {
      message,
      key: messageKey(read.content),
      class: recordedClass(message),
      reason: recorded(message, 'dead_letter_reason') ?? movedBySqs,
      content: read.content,
      foreign: false,
      requestId: read.envelope.request_id ?? null,
      traceparent,
    };
  }
  const foreign = 'foreign' in read;
  return {
    message,
    key: bodyKey(foreign ? 'foreign' : 'poison', message.body),
    class: foreign ? 'unknown' : 'poison',
    reason: foreign ? read.foreign : read.poison,
    content: null,
    foreign,
    requestId: null,
    traceparent,
  };
}

/** SQS moves a message itself when it was received too often: then nobody has written down why. */
export const movedBySqs = 'received too often without an outcome (maxReceiveCount)';

type Read =
  | { envelope: ReceivedEnvelope; content: Message }
  | { poison: string }
  | { foreign: NotUnderstood };

function parse(body: string): Read {
  try {
    const envelope = decodeEnvelope(body);
    const read = readMessage(envelope);
    if (read.kind === 'message') return { envelope, content: read.message };
    if (read.kind === 'not_understood') return { foreign: read.code };
    return { poison: 'body is an envelope without an id of ours' };
  } catch (error) {
    // Where it is wrong, our decoder has said without a quotation.
    return { poison: error instanceof PoisonMessageError ? error.message : 'body can not be read' };
  }
}

const classes: ReadonlySet<string> = new Set<FailureClass>(['transient', 'permanent', 'poison', 'unknown']);

/** What is readable here is no poison: an older consumer called it so, which did not know its type, version or field. */
function recordedClass(message: QueueMessage): FailureClass {
  const text = recorded(message, 'dead_letter_class') ?? '';
  return classes.has(text) && text !== 'poison' ? (text as FailureClass) : 'unknown';
}

function recorded(message: QueueMessage, name: string): string | undefined {
  return message.attributes[name]?.StringValue;
}

/** Without an id that can be read, the same bytes are the same message, or its redrives could not be counted. */
function bodyKey(kind: 'poison' | 'foreign', body: string): string {
  return `${kind}:${createHash('sha256').update(body).digest('hex').slice(0, 32)}`;
}
