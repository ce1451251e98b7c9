import { expect, test } from '@jest/globals';
import { callInBatches } from '../../../services/queue/batch-call.ts';
import { failureOwner } from '../../../services/queue/failure-owner.ts';

test.each([
  [
    Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' }),
    'ECONNREFUSED',
    'peer',
  ],
  [Object.assign(new AggregateError([]), { code: 'ETIMEDOUT' }), 'ETIMEDOUT', 'peer'],
  [
    Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' }),
    'CERT_HAS_EXPIRED',
    'us',
  ],
  [Object.assign(new Error('no'), { name: 'RequestTimeTooSkewed' }), 'RequestTimeTooSkewed', 'us'],
  [new Error('odd'), 'Error', 'peer'],
])('a call that fails as a whole is called by its most telling word: %s', async (error, code, owner) => {
  const results = await callInBatches([[1, 2]], () => Promise.reject(error));
  expect(results).toMatchObject([
    { ok: false, code, retryable: true },
    { ok: false, code, retryable: true },
  ]);
  expect(failureOwner(code)).toBe(owner);
});
