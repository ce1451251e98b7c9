import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  formatTraceparent,
  fromAwsTraceHeader,
  parseTraceparent,
  toAwsTraceHeader,
} from '../../../services/observability/trace-headers.ts';

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

const hex = (length: number) =>
  fc
    .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
    .filter((text) => !/^0+$/.test(text));

test('a traceparent becomes the X-Ray header that SQS carries beside the ten attributes', () => {
  expect(toAwsTraceHeader(TRACEPARENT)).toBe(
    'Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1',
  );
});

test('there and back is the identity', () => {
  fc.assert(
    fc.property(hex(32), hex(16), fc.constantFrom('00', '01'), (traceId, spanId, flags) => {
      const traceparent = `00-${traceId}-${spanId}-${flags}`;
      expect(fromAwsTraceHeader(toAwsTraceHeader(traceparent))).toBe(traceparent);
      const span = parseTraceparent(traceparent);
      expect(span && formatTraceparent(span)).toBe(traceparent);
    }),
  );
});

test('the fields of an X-Ray header may come in any order, with others among them', () => {
  expect(
    fromAwsTraceHeader(
      'Self=1-0-0; Sampled=0;Parent=00f067aa0ba902b7;Lineage=a:1;Root=1-4bf92f35-77b34da6a3ce929d0e0e4736',
    ),
  ).toBe('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00');
});

test.each([
  undefined,
  '',
  'garbage',
  'Root=1-4bf92f35-77b34da6a3ce929d0e0e4736',
  'Root=x;Parent=y;Sampled=1',
  'Root=1-00000000-000000000000000000000000;Parent=00f067aa0ba902b7;Sampled=1',
])('the X-Ray header %j is no trace', (header) => {
  expect(fromAwsTraceHeader(header)).toBeUndefined();
});

test.each([
  undefined,
  '',
  'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
  '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01',
  '00-4bf9-00f0-01',
])('the traceparent %j is none', (traceparent) => {
  expect(parseTraceparent(traceparent)).toBeUndefined();
  expect(toAwsTraceHeader(traceparent)).toBeUndefined();
});
