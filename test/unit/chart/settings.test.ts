import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { apiEnv } from '../../../services/api/config.ts';
import { consumerEnv } from '../../../services/consumer/config.ts';
import { reconcilerEnv } from '../../../services/reconciler/config.ts';

/** What the chart sets itself, from values of its own, or kubelet does. */
const OF_THE_CHART = [
  'AWS_ENDPOINT_URL_SQS',
  'AWS_REGION',
  'DATABASE_POOL_MAX',
  'DATABASE_URL',
  'DEAD_LETTER_POLICY_FILE',
  'DEAD_LETTER_POLICY_SOURCE',
  'GIFTS_QUEUE_NAME',
  'HOST',
  'KUBECONFIG',
  'KUBERNETES_SERVICE_HOST',
  'KUBERNETES_SERVICE_PORT',
  'KEYRING_FILE',
  'MAIL_FROM',
  'MAX_IN_FLIGHT',
  'METRICS_PORT',
  'PORT',
  'PUBLIC_URL',
  'QUEUE_PROVISIONING',
  'RECONCILER_LEASE_NAME',
  'SHUTDOWN_GRACE_SECONDS',
  'SMTP_URL',
  // The root of a container can not be written: the log goes to standard output.
  'LOG_FILE',
  'LOG_FILE_MAX_BYTES',
  'LOG_FILE_MAX_COUNT',
];

/** What one role believes of another: set for one alone, the other would be wrong about it. */
const AGREED_ON = ['LEASE_SECONDS', 'MAX_RETRY_COUNT', 'RETRY_CAP_MS', 'VISIBILITY_TIMEOUT_SECONDS'];

const roles = { api: apiEnv.shape, consumer: consumerEnv.shape, reconciler: reconcilerEnv.shape };

const { $defs } = JSON.parse(readFileSync('charts/largesse/values.schema.json', 'utf8')) as {
  $defs: Record<string, { enum: string[] }>;
};

const without = (names: string[], ...left: string[][]) =>
  [...new Set(names)].filter((name) => !left.flat().includes(name)).sort();

test.each(Object.entries(roles))(
  '%s.settings takes what that role reads, and nothing else',
  (role, shape) => {
    expect($defs[`${role}Setting`]?.enum).toEqual(without(Object.keys(shape), OF_THE_CHART, AGREED_ON));
  },
);

test('settings takes what any role reads', () => {
  const all = Object.values(roles).flatMap((shape) => Object.keys(shape));
  expect($defs['anySetting']?.enum).toEqual(without(all, OF_THE_CHART));
});
