import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatTraceparent, parseTraceparent } from '../../../services/observability/traceparent.ts';

const hex = (length: number) =>
  fc
    .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
    .filter((text) => !/^0+$/.test(text));

test('there and back is the identity', () => {
  fc.assert(
    fc.property(hex(32), hex(16), fc.constantFrom('00', '01'), (traceId, spanId, flags) => {
      const traceparent = `00-${traceId}-${spanId}-${flags}`;
      const span = parseTraceparent(traceparent);
      expect(span && formatTraceparent(span)).toBe(traceparent);
    }),
  );
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
});
