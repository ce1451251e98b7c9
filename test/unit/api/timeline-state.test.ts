import { expect, test } from '@jest/globals';
import { stateAfter, timelineResource } from '../../../services/api/routes/gifts/timeline-resource.ts';

test.each([
  ['gift.accepted', { state: 'queued' }, 'queued'],
  ['gift.accepted', { state: 'scheduled' }, 'scheduled'],
  ['gift.queued', { reason: 'deliver_at has come' }, 'queued'],
  ['gift.delivered', {}, 'delivered'],
  ['gift.claimed', {}, 'claimed'],
  ['gift.cancelled', { from: 'queued' }, 'cancelled'],
  ['gift.failed', {}, 'failed'],
  ['gift.expired', {}, 'expired'],
  ['gift.resent', {}, null],
  ['gift.expiring', {}, null],
  ['delivery.deferred', { attempt: 1, state: 'queued' }, 'queued'],
  ['delivery.deferred', { attempt: 1 }, null],
  ['delivery.dead_lettered', { attempt: 6, state: 'queued' }, 'queued'],
  ['delivery.sent', {}, null],
])('%s %j brings a gift into %s', (action, data, state) => {
  expect(stateAfter({ action, data })).toBe(state);
});

test('times in the data of an event look like all other times, and nothing else changes', () => {
  const id = '01990000-0000-7000-8000-000000000000';
  const at = new Date('2027-01-31T09:00:00Z');
  const record = { id, actor_id: null, actor_kind: 'consumer', request_id: null, created_at: at };
  const data = { attempt: 1, next_attempt_at: '2027-01-31T10:00:01.123456+01:00', looked_at: 'never' };
  const event = timelineResource({
    kind: 'event',
    at,
    record: { ...record, action: 'delivery.deferred', data },
  } as Parameters<typeof timelineResource>[0]);
  expect(event).toMatchObject({
    data: { attempt: 1, next_attempt_at: '2027-01-31T09:00:01.123Z', looked_at: 'never' },
  });
});
