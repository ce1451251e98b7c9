import { expect, test } from '@jest/globals';
import type { Request, Response } from 'express';
import { readQuery } from '../../../services/api/middleware/url-encoded.ts';
import type { Validator } from '../../../services/api/middleware/validate.ts';
import { Problem } from '../../../services/api/problem.ts';
import { giftBody } from '../../../services/api/routes/gifts/accept-gift.ts';
import { giftsQuery } from '../../../services/api/routes/gifts/read-gifts.ts';

/** What a request that consists of this part alone is told. */
function refusal(step: Validator<never>, part: Partial<Request>): Problem {
  return thrown(() => step(part as Request, { locals: {} } as Response, () => undefined));
}

function thrown(run: () => unknown): Problem {
  try {
    run();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('was not refused');
}

test.each([
  [undefined, '/recipient', 'is required'],
  ['ada@example.com', '/recipient', 'must be an object, not a string'],
  [null, '/recipient', 'must be an object, not null'],
  [{}, '/recipient/type', 'is required'],
  [{ type: 'fax' }, '/recipient/type', 'must be "email" or "wallet"'],
])('the recipient %j: %s %s', (recipient, pointer, detail) => {
  const body = { value: { amount: 1, currency: 'EUR' }, ...(recipient === undefined ? {} : { recipient }) };
  expect(refusal(giftBody as never, { body }).errors).toEqual([{ pointer, detail }]);
});

test('what stands in the query is called a parameter', () => {
  const one = refusal(giftsQuery as never, { query: { colour: 'red' } });
  expect(one.errors).toEqual([{ parameter: 'colour', detail: 'is not a parameter of this request' }]);
  const two = refusal(giftsQuery as never, { query: { colour: 'red', size: '1' } });
  expect(two.message).toBe('2 parameters are not valid');
});

test('a parameter that stands twice is named', () => {
  const { code, errors } = thrown(() => readQuery('state=queued&limit=1&limit=2'));
  expect(code).toBe('validation_failed');
  expect(errors).toEqual([{ parameter: 'limit', detail: 'stands twice in the query' }]);
});
