import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { toQueueMessage } from '../../../services/queue/message.ts';
import {
  creationContext,
  formatTraceHeader,
  formatTraceparent,
  parseTraceHeader,
  parseTraceparent,
} from '../../../services/queue/trace-context.ts';

const hex = (length: number) =>
  fc
    .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
    .filter((text) => !/^0+$/.test(text));
const contexts = fc.record({ traceId: hex(32), spanId: hex(16), traceFlags: fc.constantFrom(0, 1) });

describe('trace context', () => {
  test('P50: both forms carry a context there and back', () => {
    fc.assert(
      fc.property(contexts, (context) => {
        expect(parseTraceparent(formatTraceparent(context))).toEqual({ ...context, isRemote: true });
        expect(parseTraceHeader(formatTraceHeader(context))).toEqual({ ...context, isRemote: true });
      }),
    );
  });

  test('whatever stands there, reading it never throws', () => {
    fc.assert(
      fc.property(fc.string(), fc.oneof(fc.json(), fc.string()), (header, body) => {
        const message = toQueueMessage({ Body: body, Attributes: { AWSTraceHeader: header } }, 0);
        expect(creationContext(message)).toBeUndefined();
      }),
    );
  });

  test('ids of zeros only are no context', () => {
    expect(parseTraceparent(`00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`)).toBeUndefined();
    expect(parseTraceparent(`00-${'1'.repeat(32)}-${'0'.repeat(16)}-01`)).toBeUndefined();
  });

  test('P50: the envelope comes before a message attribute, and that before the X-Ray header', () => {
    const id = (digit: string) => ({ traceId: digit.repeat(32), spanId: digit.repeat(16), traceFlags: 1 });
    const header = { Attributes: { AWSTraceHeader: formatTraceHeader(id('c')) } };
    const attribute = {
      MessageAttributes: { traceparent: { DataType: 'String', StringValue: formatTraceparent(id('b')) } },
    };
    const body = { Body: JSON.stringify({ traceparent: formatTraceparent(id('a')) }) };
    expect(creationContext(toQueueMessage({ ...header, ...attribute, ...body }, 0))).toMatchObject(id('a'));
    expect(creationContext(toQueueMessage({ ...header, ...attribute }, 0))).toMatchObject(id('b'));
    expect(creationContext(toQueueMessage(header, 0))).toMatchObject(id('c'));
  });
});
