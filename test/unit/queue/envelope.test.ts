import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readMessage } from '../../../services/domain/messages.ts';
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  PoisonMessageError,
} from '../../../services/queue/envelope.ts';

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });

const envelopes: fc.Arbitrary<Envelope> = fc.record(
  {
    type: fc.stringMatching(/^[a-z][a-z0-9_.-]{0,20}$/),
    version: fc.integer({ min: 1, max: 1_000 }),
    id: fc.stringMatching(/^[A-Za-z0-9_-]{1,40}$/),
    occurred_at: fc
      .date({ min: new Date('2000-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString()),
    attempt_hint: fc.nat(),
    traceparent: fc.tuple(hex(32), hex(16)).map(([trace, span]) => `00-${trace}-${span}-01`),
    request_id: fc.stringMatching(/^[A-Za-z0-9-]{1,60}$/),
  },
  { requiredKeys: ['type', 'version', 'id', 'occurred_at', 'attempt_hint'] },
);

const sample: Envelope = {
  type: 'gift.deliver',
  version: 1,
  id: 'gft_01h2xcejqtf2nbrexx3vqjhp41',
  occurred_at: '2026-01-02T03:04:05.678Z',
  attempt_hint: 0,
};

function poisonOf(body: string): PoisonMessageError {
  try {
    decodeEnvelope(body);
  } catch (error) {
    expect(error).toBeInstanceOf(PoisonMessageError);
    return error as PoisonMessageError;
  }
  throw new Error('the body was decoded');
}

describe('envelope', () => {
  test('what is encoded decodes to the same, as far as it is read', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        const { occurred_at: _at, attempt_hint: _hint, ...read } = envelope;
        expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual(read);
      }),
    );
  });

  test('any text either decodes to an envelope or is poison: nothing else is ever thrown', () => {
    const bodies = fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(bodies, (body) => {
        expect(poisonOf(body).code).toBe('poison');
      }),
    );
  });

  test('a type or version that is missing or mistyped is poison, and the message names the field', () => {
    for (const field of ['type', 'version'] as const) {
      const { [field]: _left, ...rest } = sample;
      expect(poisonOf(JSON.stringify(rest)).message).toContain(field);
      expect(poisonOf(JSON.stringify({ ...sample, [field]: null })).message).toContain(field);
    }
    expect(poisonOf(JSON.stringify({ ...sample, version: 0 })).message).toContain('version');
  });

  test('old and new side by side: a field that is added, left out or written otherwise is no poison', () => {
    const { type, version, id } = sample;
    for (const body of [
      { ...sample, recipient: 'x', amount: 1, nested: { deep: [1] } },
      { type, version, id },
      { ...sample, occurred_at: 'yesterday', attempt_hint: 'none' },
      { ...sample, traceparent: 'ff-new-form', request_id: 'ä b' },
    ]) {
      expect(decodeEnvelope(JSON.stringify(body))).toEqual({ type, version, id });
    }
  });

  test.each([
    { type: 'Gift.Deliver', version: 1 },
    { type: 'gift:deliver/bulk', version: 1 },
    { type: 'gift.deliver', version: '2' },
    { type: 'gift.deliver', version: 'v2.1-beta' },
    { type: 'gift.deliver', version: 2.5 },
  ])(
    'old and new side by side: another way to name types and to count versions is no poison: %j',
    (envelope) => {
      expect(decodeEnvelope(JSON.stringify(envelope))).toEqual(envelope);
      expect(readMessage(envelope).kind).toBe('not_understood');
    },
  );

  test('what is sent is strict: a field that nobody reads, or that is missing, is not written', () => {
    const { attempt_hint: _left, ...rest } = sample;
    expect(() => encodeEnvelope(rest as Envelope)).toThrow(PoisonMessageError);
    expect(() => encodeEnvelope({ ...sample, recipient: 'x' } as Envelope)).toThrow(PoisonMessageError);
  });

  test('P59: the error quotes nothing of the body', () => {
    const secret = 'ada@example.com';
    const bodies = [
      secret,
      `{"type":"${secret}"}`,
      JSON.stringify({ ...sample, version: secret, [secret]: 1 }),
      `{${secret}`,
    ];
    for (const body of bodies) {
      const { message, cause, stack } = poisonOf(body);
      expect(`${message} ${String(cause)} ${stack}`).not.toContain(secret);
    }
  });

  test('an envelope that could not be decoded is not encoded either', () => {
    expect(() => encodeEnvelope({ ...sample, id: 'ada@example.com' })).toThrow(PoisonMessageError);
  });
});
