import { join } from 'node:path';
import { elasticMqAvailable, startElasticMq } from '../support/elasticmq.ts';
import { startEmulator } from '../support/emulator.ts';
import { pythonAvailable, pythonPrograms, startServerProcess } from '../support/python-package.ts';
import type { SqsEndpoint } from '../support/sqs-under-test.ts';

export type SqsImplementation = {
  name: string;
  /** why it can't be run on this machine; null where it can */
  missing: string | null;
  start: () => Promise<SqsEndpoint & { stop(): Promise<void> }>;
  /** what it is known to take; what a server drops without a word counts as taken */
  capabilities: { message_group_ids: boolean; trace_headers: boolean };
};

const motoVersion = '5.2.5';
const region = 'eu-central-1';

const hasPython = await pythonAvailable();
const withJava = async (version: string) =>
  (await elasticMqAvailable(version)) ? null : 'no Java, or no Maven to fetch it with';

/** Everything that speaks SQS and that a machine without an account can have. */
export const sqsImplementations: SqsImplementation[] = [
  {
    name: 'fauxqs 2',
    missing: null,
    start: () => startEmulator({ region }),
    capabilities: { message_group_ids: true, trace_headers: true },
  },
  {
    name: 'ElasticMQ 1.6.12',
    missing: await withJava('1.6.12'),
    start: () => elasticMq('1.6.12'),
    capabilities: { message_group_ids: false, trace_headers: true },
  },
  {
    name: 'ElasticMQ 1.7.1',
    missing: await withJava('1.7.1'),
    start: () => elasticMq('1.7.1'),
    capabilities: { message_group_ids: true, trace_headers: true },
  },
  {
    name: `moto ${motoVersion}`,
    missing: hasPython ? null : 'no Python 3 with venv',
    start: moto,
    capabilities: { message_group_ids: true, trace_headers: true },
  },
  {
    name: 'LocalStack (open)',
    missing: 'outside of its container image its package starts no queue that answers',
    start: () => Promise.reject(new Error('there is nothing to start')),
    capabilities: { message_group_ids: true, trace_headers: true },
  },
];

async function elasticMq(version: string) {
  const server = await startElasticMq({ region, version });
  if (server === null) throw new Error('Java was here a moment ago');
  return server;
}

async function moto() {
  const programs = await pythonPrograms(`moto-${motoVersion}`, [
    `moto==${motoVersion}`,
    'flask==3.1.3',
    'flask-cors==6.0.5',
  ]);
  const args = ['-H', '127.0.0.1', '-p', '0'];
  const { match, stop } = await startServerProcess(join(programs, 'moto_server'), args, {
    ready: /Running on (http:\/\/127\.0\.0\.1:\d+)/,
  });
  return { endpoint: match[1] ?? '', region, stop };
}
