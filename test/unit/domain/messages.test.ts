import { describe, expect, test } from '@jest/globals';
import { newId } from '../../../services/domain/ids.ts';
import { messageKey, readMessage } from '../../../services/domain/messages.ts';

describe('readMessage', () => {
  test('knows the messages of the gifts queue, whatever else stands in them', () => {
    const id = newId('gft');
    const message = { type: 'gift.deliver', version: 1, id };
    expect(readMessage({ ...message, occurred_at: 'x' } as never)).toEqual({ kind: 'message', message });
    expect(messageKey({ type: 'gift.deliver', version: 1, id })).toBe(`gift.deliver:${id}`);
  });

  test.each([
    [{ type: 'gift.paint', version: 1, id: newId('gft') }, 'unknown_message_type'],
    [{ type: 'gift.paint', version: 1 }, 'unknown_message_type'],
    [{ type: 'gift.deliver', version: 2, id: newId('gft') }, 'unknown_message_version'],
    [{ type: 'gift.deliver', version: 2, id: ['gft_1', 'gft_2'] }, 'unknown_message_version'],
    [{ type: 'delivery.send', version: 7 }, 'unknown_message_version'],
  ])('old and new side by side: %j is of another release, and no poison', (envelope, code) => {
    expect(readMessage(envelope)).toEqual({ kind: 'not_understood', code });
  });

  test.each([
    { type: 'gift.deliver', version: 1, id: newId('dlv') },
    { type: 'delivery.send', version: 1, id: 'dlv_x' },
    { type: 'delivery.send', version: 1, id: 7 },
    { type: 'delivery.send', version: 1 },
  ])('%j is ours and names nothing of ours', (envelope) => {
    expect(readMessage(envelope)).toEqual({ kind: 'invalid' });
  });
});
