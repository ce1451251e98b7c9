import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  messageKey,
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
  test('what is encoded decodes to the same', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual(envelope);
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

  test('a missing, mistyped or unknown field is poison, and the message names the field', () => {
    const fields = Object.keys(sample) as (keyof Envelope)[];
    for (const field of fields) {
      const { [field]: _left, ...rest } = sample;
      expect(poisonOf(JSON.stringify(rest)).message).toContain(field);
      expect(poisonOf(JSON.stringify({ ...sample, [field]: null })).message).toContain(field);
    }
    expect(poisonOf(JSON.stringify({ ...sample, recipient: 'x' })).message).toContain('unrecognized_keys');
    expect(poisonOf(JSON.stringify({ ...sample, version: 0 })).message).toContain('version');
  });

  test('P59: the error quotes nothing of the body', () => {
    const secret = 'ada@example.com';
    const bodies = [
      secret,
      `{"type":"${secret}"}`,
      JSON.stringify({ ...sample, id: secret, [secret]: 1 }),
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

  test('the key is the same for every delivery of a message and differs between types', () => {
    expect(messageKey(decodeEnvelope(encodeEnvelope({ ...sample, attempt_hint: 3 })))).toBe(
      messageKey(sample),
    );
    expect(messageKey({ ...sample, type: 'gift.expire' })).not.toBe(messageKey(sample));
  });
});
