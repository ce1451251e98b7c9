import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { newId } from '../../../services/domain/ids.ts';
import { readDeadLetter } from '../../../services/reconciler/dead-letter.ts';
import { toVerdictRow } from '../../../services/reconciler/verdict-rows.ts';
import { envelope, letter, message } from './letters.ts';

const attribute = (text: string) => ({ DataType: 'String', StringValue: text });

describe('reading a dead letter', () => {
  test('class and reason are what the consumer recorded', () => {
    const id = newId('gft');
    const read = readDeadLetter(
      message(envelope({ id, request_id: 'req-7' }), {
        attributes: {
          dead_letter_class: attribute('permanent'),
          dead_letter_reason: attribute('mail_refused'),
        },
      }),
    );
    expect(read).toMatchObject({
      key: `gift.deliver:${id}`,
      class: 'permanent',
      reason: 'mail_refused',
      requestId: 'req-7',
    });
  });

  test('without a record, or with one that nobody knows, the class is unknown', () => {
    expect(readDeadLetter(message(envelope()))).toMatchObject({
      class: 'unknown',
      reason: expect.stringContaining('maxReceiveCount'),
    });
    const attributes = { dead_letter_class: attribute('grave') };
    expect(readDeadLetter(message(envelope(), { attributes }))).toMatchObject({ class: 'unknown' });
  });

  test('what can not be read is poison, whatever its attributes say, and is never quoted', () => {
    const attributes = { dead_letter_class: attribute('transient') };
    for (const body of [
      'ada@example.com',
      envelope({ id: 'gft_x' }),
      '{"type": "gift.deliver", "version": "ada@example.com"}',
    ]) {
      const read = readDeadLetter(message(body, { attributes }));
      expect(read).toMatchObject({ class: 'poison', content: null });
      expect(read.reason).not.toContain('ada@example.com');
    }
  });

  test.each([
    [envelope({ type: 'gift.unwrap' }), 'unknown_message_type'],
    [envelope({ version: 2 }), 'unknown_message_version'],
  ])('old and new side by side: what another release knows is unknown and no poison: %#', (body, reason) => {
    const attributes = { dead_letter_class: attribute('poison') };
    expect(readDeadLetter(message(body, { attributes }))).toMatchObject({
      class: 'unknown',
      reason,
      content: null,
      foreign: true,
    });
  });

  test('old and new side by side: what an older consumer called poison and this release can read is not', () => {
    const attributes = {
      dead_letter_class: attribute('poison'),
      dead_letter_reason: attribute('message_unknown'),
    };
    expect(readDeadLetter(message(envelope(), { attributes }))).toMatchObject({
      class: 'unknown',
      foreign: false,
      content: { type: 'gift.deliver' },
    });
  });

  test('the same poison has the same key under every message id, so that its redrives can be counted', () => {
    const key = (body: string) => readDeadLetter(message(body)).key;
    expect(key('x')).toBe(key('x'));
    expect(key('x')).not.toBe(key('y'));
  });

  test('any body is read without throwing, and its row can be stored', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (body) => {
        const read = readDeadLetter(message(body));
        const row = toVerdictRow({
          letter: { ...letter(), ...read },
          verdict: 'quarantine',
          rule: 'poison',
          why: '',
          deleteOnly: false,
          archive: false,
        });
        expect(row.body).not.toContain('\u0000');
        expect(row.body?.isWellFormed()).toBe(true);
      }),
    );
  });
});
