import { expect, test } from '@jest/globals';
import pg from 'pg';
import { problemKinds } from '../../../services/api/problem.ts';
import { toProblem } from '../../../services/api/problem-details.ts';

const state = (code: string, more = {}) =>
  Object.assign(new pg.DatabaseError(`state ${code}`, 0, 'error'), { code, ...more });
const network = (code: string) => Object.assign(new Error(`connect ${code}`), { code });

test.each([
  ...[
    '25006',
    '55000',
    '57P01',
    '57014',
    '53300',
    '55P03',
    '40P01',
    '08006',
    '26000',
    '42P01',
    '0A000',
    'XX000',
  ].map((code) => state(code)),
  ...[
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENETDOWN',
    'ETIMEDOUT',
    'ECONNRESET',
    'EAI_AGAIN',
    'CERT_HAS_EXPIRED',
  ].map(network),
])('a database that can not do it now is 503 with Retry-After, whatever it says: %s', (error) => {
  const problem = toProblem(error);
  expect([problemKinds[problem.code].status, problem.retryAfterSeconds]).toEqual([503, 2]);
});

test.each([state('22003'), state('23514', { constraint: 'gifts_transition_legal' }), new TypeError('x')])(
  'a fault of ours is 500, and tells nothing: %s',
  (error) => {
    expect(problemKinds[toProblem(error).code].status).toBe(500);
  },
);
