import { describe, expect, test } from '@jest/globals';
import { newId } from '../../../services/domain/ids.ts';
import { messageKey, parseMessage } from '../../../services/domain/messages.ts';

describe('parseMessage', () => {
  test('knows the messages of the gifts queue', () => {
    const id = newId('gft');
    expect(parseMessage({ type: 'gift.deliver', version: 1, id, occurred_at: 'x' })).toEqual({
      type: 'gift.deliver',
      version: 1,
      id,
    });
    expect(messageKey({ type: 'gift.deliver', version: 1, id })).toBe(`gift.deliver:${id}`);
  });

  test.each([
    { type: 'gift.deliver', version: 2, id: newId('gft') },
    { type: 'gift.paint', version: 1, id: newId('gft') },
    { type: 'gift.deliver', version: 1, id: newId('dlv') },
    { type: 'delivery.send', version: 1, id: 'dlv_x' },
    { type: 'delivery.send', version: 1 },
    null,
    'text',
  ])('refuses %j, so that it is treated as poison', (envelope) => {
    expect(() => parseMessage(envelope)).toThrow();
  });
});
