import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { deadLetterCopy } from '../../../services/queue/dead-letter-copy.ts';
import { toQueueMessage } from '../../../services/queue/message.ts';

const verdict = { class: 'permanent', reason: 'hard_bounce' };

function messageWith(attributeCount: number) {
  const names = Array.from({ length: attributeCount }, (_, index) => `a${index}`);
  return toQueueMessage(
    {
      MessageId: 'm',
      ReceiptHandle: 'r',
      Body: 'the body',
      MessageAttributes: Object.fromEntries(
        names.map((name) => [name, { DataType: 'String', StringValue: name }]),
      ),
      Attributes: { MessageGroupId: 'sen_1', AWSTraceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793' },
    },
    0,
  );
}

describe('deadLetterCopy', () => {
  test('keeps body, attributes, group and trace, and adds class and reason', () => {
    const original = messageWith(2);
    expect(deadLetterCopy(original, verdict)).toEqual({
      body: 'the body',
      attributes: {
        ...original.attributes,
        dead_letter_class: { DataType: 'String', StringValue: 'permanent' },
        dead_letter_reason: { DataType: 'String', StringValue: 'hard_bounce' },
      },
      groupId: 'sen_1',
      traceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793',
    });
  });

  test.each([
    [8, ['dead_letter_class', 'dead_letter_reason']],
    [9, ['dead_letter_class']],
    [10, []],
  ])(
    'P50: with %i user attributes it adds %p: never an eleventh, never at the cost of the original',
    (count, added) => {
      const original = messageWith(count);
      const names = Object.keys(deadLetterCopy(original, verdict).attributes ?? {});
      expect(names).toEqual([...Object.keys(original.attributes), ...added]);
      expect(names.length).toBeLessThanOrEqual(10);
    },
  );

  test('a message that was dead-lettered before gets the new reason in the same place', () => {
    const once = deadLetterCopy(messageWith(8), verdict);
    const redriven = { ...messageWith(0), attributes: once.attributes ?? {} };
    const twice = deadLetterCopy(redriven, { class: 'transient', reason: 'smtp_down' });
    expect(Object.keys(twice.attributes ?? {})).toHaveLength(10);
    expect(twice.attributes?.['dead_letter_reason']?.StringValue).toBe('smtp_down');
  });

  test('any reason becomes a value that SQS takes: allowed characters, neither empty nor endless', () => {
    const allowed = /^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]{1,256}$/u;
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (reason) => {
        const value = deadLetterCopy(messageWith(0), { class: 'unknown', reason }).attributes?.[
          'dead_letter_reason'
        ];
        expect(value?.StringValue).toMatch(allowed);
      }),
    );
    const lone = deadLetterCopy(messageWith(0), { class: 'unknown', reason: '\uD800' });
    expect(lone.attributes?.['dead_letter_reason']?.StringValue).toMatch(allowed);
  });
});
