import { expect, test } from '@jest/globals';
import { blamesExtras, SendAbilities } from '../../../services/queue/send-abilities.ts';

test('a capability that was missing is asked for again after ten minutes, and told only when it changes', () => {
  let nowMs = 0;
  const changes: unknown[] = [];
  const abilities = new SendAbilities(
    (change) => changes.push(change),
    () => nowMs,
  );
  abilities.learn('q', 'message_group_ids', false);
  expect(abilities.lacking('q')).toEqual(['message_group_ids']);
  expect(abilities.lacking('another')).toEqual([]);
  nowMs = 600_000;
  expect(abilities.lacking('q')).toEqual([]);
  abilities.learn('q', 'message_group_ids', false);
  expect(abilities.lacking('q')).toEqual(['message_group_ids']);
  abilities.learn('q', 'message_group_ids', true);
  expect(abilities.lacking('q')).toEqual([]);
  expect(changes).toEqual([
    { queueUrl: 'q', extra: 'message_group_ids', able: false },
    { queueUrl: 'q', extra: 'message_group_ids', able: true },
  ]);
});

test('a way that is cut says nothing of what a queue takes', () => {
  for (const code of [
    'ECONNRESET',
    'ECONNREFUSED',
    'TimeoutError',
    'ThrottlingException',
    'AccessDenied',
    'EPROTO',
  ]) {
    expect(blamesExtras(code, { confirmed: false })).toBe(false);
  }
});
