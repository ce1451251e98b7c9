import { expect, test } from '@jest/globals';
import { tellPlainWays } from '../../../services/runtime/plain-ways.ts';

const toldOf = (config: Parameters<typeof tellPlainWays>[1]) => {
  const told: unknown[] = [];
  tellPlainWays({ warn: (_message, { event, variable }) => told.push(`${event} ${variable}`) }, config);
  return told;
};

test.each([
  ['http://gifts.example.com', 'http://sqs.example.com:9324'],
  ['http://192.0.2.7', 'http://elasticmq:9324'],
  ['http://127.0.0.1.example.com', 'http://localhost.example.com'],
])(
  'security does not downgrade silently: what travels in the clear between machines is told at the start: %s',
  (url, sqs) => {
    expect(toldOf({ PUBLIC_URL: url, AWS_ENDPOINT_URL_SQS: sqs })).toEqual([
      'unprotected_way PUBLIC_URL',
      'unprotected_way AWS_ENDPOINT_URL_SQS',
    ]);
  },
);

test.each([
  ['https://gifts.example.com', undefined],
  ['http://localhost:8080', 'http://127.0.0.1:4566'],
  ['http://gifts.localhost', 'http://[::1]:4566'],
])('what is encrypted, or stays on this machine, is not: %s', (url, sqs) => {
  expect(toldOf({ PUBLIC_URL: url, AWS_ENDPOINT_URL_SQS: sqs })).toEqual([]);
});
