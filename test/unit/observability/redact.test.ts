import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { markSensitive, redact, sensitive } from '../../../services/observability/redact.ts';

const recipient = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('email'), email: markSensitive(z.email(), 'email') }),
  z.strictObject({
    type: z.literal('wallet'),
    address: markSensitive(z.string(), 'wallet'),
    chain_id: z.int().optional(),
  }),
]);
const gift = z.strictObject({
  value: z.object({ amount: z.int(), currency: z.string() }),
  recipient,
  message: markSensitive(z.string(), 'text').max(500).optional(),
  tags: z.array(z.string()).default([]),
  metadata: z.record(z.string(), z.string()).optional(),
});

describe('P59: redaction by schema position', () => {
  test('P59: marked positions are replaced, the rest stays, the input is not touched', () => {
    const input = {
      value: { amount: 2500, currency: 'EUR' },
      recipient: { type: 'email', email: 'bob@example.com' },
      message: 'Happy birthday, Bob',
      tags: ['hr', 'birthday'],
      metadata: { employee: 'Bob Smith' },
    };
    const copy = structuredClone(input);
    expect(redact(gift, input)).toEqual({
      value: { amount: 2500, currency: 'EUR' },
      recipient: { type: 'email', email: '[email]' },
      message: '[text]',
      tags: ['hr', 'birthday'],
      metadata: '[personal]',
    });
    expect(input).toEqual(copy);
  });

  test('P59: a position marked in one option of a union is redacted in a value of the other', () => {
    const mixedUp = { type: 'wallet', email: 'bob@example.com', address: 'Bob', chain_id: 1 };
    expect(redact(recipient, mixedUp)).toEqual({
      type: 'wallet',
      email: '[email]',
      address: '[wallet]',
      chain_id: 1,
    });
  });

  test('P59: what the schema does not know is not shown: misspelt names, wrong shapes', () => {
    expect(
      redact(gift, {
        recipient: 'Bob Smith',
        emial: 'Bob',
        value: ['Bob'],
        tags: { a: 'Bob' },
        message: { to: 'Bob' },
      }),
    ).toEqual({
      recipient: '[unexpected]',
      emial: '[unexpected]',
      value: '[unexpected]',
      tags: '[unexpected]',
      message: '[text]',
    });
  });

  test('P59: an address at an unmarked position is scrubbed nevertheless', () => {
    expect(redact(gift, { tags: ['for bob@example.com'], 'bob@example.com': 1 })).toEqual({
      tags: ['for [email]'],
      '[email]': '[unexpected]',
    });
  });

  test('P59: of a record nothing is shown: its keys are as much the words of the caller as its values', () => {
    const open = z.object({ metadata: z.record(z.string(), z.string()).default({}) });
    expect(redact(open, { metadata: { 'Bob Smith': 'sales' } })).toEqual({ metadata: '[personal]' });
  });

  test.each<[string, z.ZodType]>([
    ['optional', markSensitive(z.string(), 'secret').optional()],
    ['nullable and defaulted', markSensitive(z.string(), 'secret').nullable().default(null)],
    ['refined after marking', markSensitive(z.string(), 'secret').min(1).describe('x')],
    ['piped', markSensitive(z.string(), 'secret').transform((text) => text.length)],
    ['preprocessed', z.preprocess((text) => text, markSensitive(z.string(), 'secret'))],
    ['lazy', z.lazy(() => markSensitive(z.string(), 'secret'))],
    ['caught and read-only', markSensitive(z.string(), 'secret').catch('').readonly()],
    ['one side of an intersection', z.intersection(z.string(), markSensitive(z.string(), 'secret'))],
    ['marked from outside', markSensitive(z.string().optional(), 'secret')],
  ])('P59: a mark is found when the schema is %s', (_, schema) => {
    expect(
      redact(z.object({ field: schema, list: z.array(schema), pair: z.tuple([schema, z.int()]) }), {
        field: 'hunter2',
        list: ['hunter2'],
        pair: ['hunter2', 1],
      }),
    ).toEqual({
      field: '[secret]',
      list: ['[secret]'],
      pair: ['[secret]', 1],
    });
  });

  test('P59: a recursive schema and a value without end come to an end', () => {
    type Node = { name: string; next?: Node | undefined };
    const node: z.ZodType<Node> = z.lazy(() =>
      z.object({ name: markSensitive(z.string(), 'name'), next: node.optional() }),
    );
    const endless: Node = { name: 'Bob' };
    endless.next = endless;
    expect(JSON.stringify(redact(node, endless))).not.toContain('Bob');
  });

  test('P59: no secret at a marked position is found in the output, whatever else the value holds', () => {
    fc.assert(
      fc.property(
        fc.emailAddress(),
        fc.array(fc.string()),
        fc.dictionary(fc.string(), fc.anything()),
        (email, tags, extra) => {
          const shown = JSON.stringify(
            redact(gift, {
              ...extra,
              recipient: { type: 'email', email },
              message: email,
              tags,
              [email]: email,
            }),
            (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
          );
          expect(shown).not.toContain(email);
        },
      ),
    );
  });

  test('the registry tells what a position holds', () => {
    expect(sensitive.get(gift.shape.message.unwrap())).toEqual({ kind: 'text' });
  });
});
