import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { currentContext, extendContext, withContext } from '../../../services/observability/context.ts';

test('fields are seen through awaits, inner ones win, and end with their scope', async () => {
  await withContext({ request_id: 'a', gift_id: 'g' }, async () => {
    await nextTurn();
    await withContext({ request_id: 'b' }, async () => {
      await nextTurn();
      expect(currentContext()).toEqual({ request_id: 'b', gift_id: 'g' });
    });
    expect(currentContext()).toEqual({ request_id: 'a', gift_id: 'g' });
  });
  expect(currentContext()).toEqual({});
});

test('concurrent contexts do not mix', async () => {
  const seen = await Promise.all(
    ['a', 'b', 'c'].map((id) =>
      withContext({ request_id: id }, async () => {
        await nextTurn();
        extendContext({ sender_id: `sen_${id}` });
        await nextTurn();
        return currentContext();
      }),
    ),
  );
  expect(seen).toEqual(['a', 'b', 'c'].map((id) => ({ request_id: id, sender_id: `sen_${id}` })));
});

test('extending outside any context changes nothing', () => {
  extendContext({ request_id: 'stray' });
  expect(currentContext()).toEqual({});
});
