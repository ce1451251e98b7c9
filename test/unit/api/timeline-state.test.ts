import { expect, test } from '@jest/globals';
import { stateAfter } from '../../../services/api/routes/gifts/timeline-resource.ts';

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
