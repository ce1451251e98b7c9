import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createKeyringFile, type Keyring, parseKeyring } from '../../services/domain/recipients/keyring.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type MailServer, startMailServer } from '../support/mail-server.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { killRoles } from '../support/role-process.ts';
import { type KeptRole, keepRole } from './kept-role.ts';
import { type Reconciling, reconcileAgainAndAgain } from './reconciling.ts';

export type Sender = { id: string; key: string };

/** The whole of Largesse, two of each role, on real parts of its own. */
export type ChaosSystem = {
  postgres: PostgresServer;
  mail: MailServer;
  keyring: Keyring;
  /** between the roles and SQS */
  sqs: FaultProxy;
  apis: KeptRole[];
  consumers: KeptRole[];
  reconciling: Reconciling;
  /** makes a sender with a key of all roles */
  sender: (name: string) => Promise<Sender>;
  /** the address of an API process that serves, or undefined while that one does not */
  apiUrl: (index: number) => string | undefined;
  end: () => Promise<void>;
};

export const queueName = 'chaos-gifts';

export async function createSystem(): Promise<ChaosSystem> {
  const [postgres, mail, folder] = await Promise.all([
    startPostgres(),
    startMailServer(),
    mkdtemp(join(tmpdir(), 'largesse-chaos-')),
  ]);
  const emulator = fork(new URL('../bench/emulator-process.ts', import.meta.url));
  const [{ endpoint }] = (await once(emulator, 'message')) as [{ endpoint: string }];
  const sqs = await startFaultProxy(endpoint);
  const keyringText = createKeyringFile('chaos');
  const keyringFile = join(folder, 'keyring.json');
  const policyFile = join(folder, 'policy.yaml');
  await writeFile(keyringFile, keyringText, { mode: 0o600 });
  await writeFile(policyFile, policy);
  const env = {
    ...environment,
    DATABASE_URL: postgres.url,
    AWS_ENDPOINT_URL_SQS: sqs.endpoint,
    SMTP_URL: mail.url,
    KEYRING_FILE: keyringFile,
    DEAD_LETTER_POLICY_FILE: policyFile,
  };
  const admin = adminIn(env);
  await admin('migrate');
  const role = (name: string, args: string[], ready: string, index: number) =>
    keepRole(`${name}-${index}`, { role: name, args, env, ready });
  const apis = [0, 1].map((index) => role('api', [], 'started', index));
  const consumers = [0, 1].map((index) => role('consumer', ['gifts'], 'consumer_started', index));
  const reconciling = reconcileAgainAndAgain(env);
  return {
    postgres,
    mail,
    keyring: parseKeyring(keyringText),
    sqs,
    apis,
    consumers,
    reconciling,
    sender: (name) => senderWithKey(admin, name),
    apiUrl: (index) => {
      const facts = apis[index]?.facts();
      return facts === undefined ? undefined : `http://127.0.0.1:${facts['port']}`;
    },
    end: async () => {
      await killRoles();
      await Promise.all([mail.stop(), sqs.stop(), endOf(emulator)]);
      await postgres.stop();
      await rm(folder, { recursive: true });
    },
  };
}

/** Times short enough to see everything happen in minutes, in the relation that production has them. */
const environment = {
  GIFTS_QUEUE_NAME: queueName,
  AWS_REGION: 'eu-central-1',
  AWS_ACCESS_KEY_ID: 'chaos',
  AWS_SECRET_ACCESS_KEY: 'chaos',
  QUEUE_PROVISIONING: 'create',
  PUBLIC_URL: 'https://gifts.example.com',
  MAIL_FROM: 'Gifts <gifts@mail.example.com>',
  HOST: '127.0.0.1',
  PORT: '0',
  METRICS_PORT: '0',
  LOG_FORMAT: 'json',
  SHUTDOWN_GRACE_SECONDS: '4',
  SMTP_GREETING_TIMEOUT_SECONDS: '4',
  SMTP_COMMAND_TIMEOUT_SECONDS: '4',
  SMTP_DATA_TIMEOUT_SECONDS: '4',
  SMTP_ACCEPTANCE_TIMEOUT_SECONDS: '4',
  // A mail that was lost after the final dot is sent once more, and the books ask for it.
  MAIL_IN_DOUBT_PAUSE_SECONDS: '3',
  MAIL_IN_DOUBT_REPEATS: '2',
  LEASE_SECONDS: '5',
  VISIBILITY_TIMEOUT_SECONDS: '5',
  RETRY_BASE_MS: '100',
  RETRY_CAP_MS: '1000',
  RESEND_COOLDOWN_SECONDS: '0',
  RATE_LIMIT_IP_PER_MINUTE: '1000000',
  RATE_LIMIT_KEY_PER_MINUTE: '1000000',
  RATE_LIMIT_CLAIM_PER_MINUTE: '1000000',
};

/** The default policy, in a hurry, and patient with a mail server that is away again and again. */
const policy = `
apiVersion: largesse.dev/v1alpha1
kind: DeadLetterPolicy
metadata: { name: chaos }
spec:
  queue: gifts
  suspend: false
  dryRun: false
  limits: { maxMessages: 10000, ratePerSecond: 200, maxRedrives: 1000 }
  circuitBreaker: { window: 10m, maxFailureRatio: 1, minSamples: 20 }
  rules:
    - { name: poison, match: { classes: [poison] }, verdict: quarantine }
    - { name: settled, match: { giftStates: [delivered, claimed, cancelled, rejected, expired] }, verdict: discard }
    - { name: transient, match: { classes: [transient, unknown], minAge: 2s }, verdict: redrive }
    - { name: permanent, match: { classes: [permanent] }, verdict: quarantine }
`;

type Admin = (...args: string[]) => Promise<string>;

function adminIn(env: Record<string, string>): Admin {
  return async (...args) => {
    const run = promisify(execFile)(process.execPath, ['services/admin/main.ts', ...args], {
      env: { PATH: process.env['PATH'], ...env },
    });
    return (await run).stdout.trim();
  };
}

async function senderWithKey(admin: Admin, name: string): Promise<Sender> {
  const id = await admin('create-sender', '--name', name);
  const roles = 'sender,operator,auditor,admin';
  return { id, key: await admin('create-key', '--sender', id, '--roles', roles, '--name', name) };
}

async function endOf(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}
