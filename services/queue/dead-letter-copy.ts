import type { MessageAttributes, QueueMessage } from './message.ts';
import type { OutgoingMessage } from './producer.ts';

const attributeLimit = 10;
const reasonLimit = 256;

/**
 * The copy that goes to the dead-letter queue: body, attributes, group and trace as they were, plus `dead_letter_class` and
 * `dead_letter_reason`. SQS takes 10 attributes: with one place left the class alone goes along (it decides the verdict), with
 * none left neither does, and a reader takes the missing class for `unknown`. The original's attributes are never given up for ours.
 */
export function deadLetterCopy(
  message: QueueMessage,
  verdict: { class: string; reason: string },
): OutgoingMessage {
  const wanted = [
    ['dead_letter_class', verdict.class],
    ['dead_letter_reason', verdict.reason],
  ] as const;
  const attributes: Record<string, MessageAttributes[string]> = { ...message.attributes };
  for (const [name, value] of wanted) {
    const fits = name in attributes || Object.keys(attributes).length < attributeLimit;
    if (fits) attributes[name] = { DataType: 'String', StringValue: clean(value) };
  }
  return {
    body: message.body,
    attributes,
    ...(message.groupId === undefined ? {} : { groupId: message.groupId }),
    ...(message.traceHeader === undefined ? {} : { traceHeader: message.traceHeader }),
  };
}

/** A character that SQS refuses, or an empty value, would make the dead letter itself undeliverable. */
function clean(text: string): string {
  const allowed = text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, ' ');
  const shortened = Array.from(allowed).slice(0, reasonLimit).join('').trim();
  return shortened === '' ? 'unspecified' : shortened;
}
