import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GiftId, SenderId } from '../../../services/domain/ids.ts';
import {
  createKeyringFile,
  type Keyring,
  parseKeyring,
} from '../../../services/domain/recipients/keyring.ts';
import { createApiKey } from '../../../services/domain/senders/create-api-key.ts';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts';
import { type FundedSender, fundedSender } from '../../support/gifts.ts';
import { type MailServer, startMailServer } from '../../support/mail-server.ts';
import { uniqueQueueName } from '../../support/queue-pair.ts';
import { killRoles, type RoleProcess, startRole } from '../../support/role-process.ts';

export type ApiProcess = RoleProcess & { url: string; metricsUrl: string };
export type ConsumerProcess = RoleProcess & { metricsUrl: string };

/** The whole of Largesse as processes, on real parts of its own. */
export type System = {
  database: TestDatabase;
  emulator: Emulator;
  mail: MailServer;
  keyring: Keyring;
  keyringText: string;
  queueName: string;
  /** what all roles are started with */
  env: Readonly<Record<string, string>>;
  /** between the API and SQS */
  apiProxy: FaultProxy;
  /** between the consumer and SQS */
  consumerProxy: FaultProxy;
  /** a sender with 1,000,000 cents and a key of all roles that the tests need */
  sender: FundedSender & { key: string };
  startApi: (env?: Record<string, string>) => Promise<ApiProcess>;
  /** Resolves when it consumes. */
  startConsumer: (env?: Record<string, string>) => Promise<ConsumerProcess>;
  /** Resolves as soon as its admin server listens. */
  startWaitingConsumer: (env?: Record<string, string>) => Promise<ConsumerProcess>;
  /** One run of the reconciler, to its end. */
  reconcile: (env?: Record<string, string>) => Promise<RoleProcess>;
  end: () => Promise<void>;
};

export const startingBalanceMinor = 1_000_000;

export async function createSystem(): Promise<System> {
  const [database, emulator, mail] = await Promise.all([
    createTestDatabase(),
    startEmulator(),
    startMailServer(),
  ]);
  const [apiProxy, consumerProxy] = await Promise.all([
    startFaultProxy(emulator.endpoint),
    startFaultProxy(emulator.endpoint),
  ]);
  const folder = await mkdtemp(join(tmpdir(), 'largesse-crash-'));
  const keyringFile = join(folder, 'keyring.json');
  const keyringText = createKeyringFile('test');
  await writeFile(keyringFile, keyringText, { mode: 0o600 });
  const keyring = parseKeyring(keyringText);
  const queueName = uniqueQueueName('gifts');
  const policyFile = join(folder, 'policy.json');
  await writeFile(policyFile, JSON.stringify(impatientPolicy));
  const shared = sharedEnv({ databaseUrl: database.url, keyringFile, queueName });
  const startWaitingConsumer = async (env: Record<string, string> = {}) => {
    const more = { AWS_ENDPOINT_URL_SQS: consumerProxy.endpoint, SMTP_URL: mail.url, ...env };
    const consumer = startRole('consumer', ['gifts'], { ...shared, ...more });
    const { port } = await consumer.logged('admin_listening');
    return { ...consumer, metricsUrl: `http://127.0.0.1:${port}/metrics` };
  };
  return {
    database,
    emulator,
    mail,
    keyring,
    keyringText,
    queueName,
    env: shared,
    apiProxy,
    consumerProxy,
    sender: await senderWithKey(database, keyring),
    startApi: async (env = {}) => {
      const api = startRole('api', [], { ...shared, AWS_ENDPOINT_URL_SQS: apiProxy.endpoint, ...env });
      const { port, metrics_port } = await api.logged('started');
      await api.logged('queue_found');
      const metricsUrl = `http://127.0.0.1:${metrics_port}/metrics`;
      return { ...api, url: `http://127.0.0.1:${port}`, metricsUrl };
    },
    startConsumer: async (env = {}) => {
      const consumer = await startWaitingConsumer(env);
      await consumer.logged('consumer_started');
      return consumer;
    },
    startWaitingConsumer,
    reconcile: async (env = {}) => {
      const more = {
        AWS_ENDPOINT_URL_SQS: consumerProxy.endpoint,
        DEAD_LETTER_POLICY_FILE: policyFile,
        ...env,
      };
      const reconciler = startRole('reconciler', [], { ...shared, ...more });
      await reconciler.ended;
      return reconciler;
    },
    end: async () => {
      await killRoles();
      await Promise.all([mail.stop(), apiProxy.stop(), consumerProxy.stop()]);
      await emulator.stop();
      await database.drop();
      await rm(folder, { recursive: true });
    },
  };
}

/** The built-in policy, but what can never be delivered is quarantined at once and however much of it there is. */
const impatientPolicy = {
  ...defaultPolicy,
  spec: {
    ...defaultPolicy.spec,
    limits: { ...defaultPolicy.spec.limits, quarantineMinAge: '0s' },
    quarantineBreaker: { window: '1h', maxRatio: 1, minSamples: 10_000 },
  },
};

/** Times short enough for a test, in the relation that production has them. */
function sharedEnv(given: { databaseUrl: string; keyringFile: string; queueName: string }) {
  return {
    DATABASE_URL: given.databaseUrl,
    KEYRING_FILE: given.keyringFile,
    GIFTS_QUEUE_NAME: given.queueName,
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    QUEUE_PROVISIONING: 'create',
    PUBLIC_URL: 'https://gifts.example.com',
    MAIL_FROM: 'Gifts <gifts@mail.example.com>',
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    LOG_FORMAT: 'json',
    SHUTDOWN_GRACE_SECONDS: '4',
    SMTP_COMMAND_TIMEOUT_SECONDS: '4',
    LEASE_SECONDS: '5',
    MAIL_IN_DOUBT_PAUSE_SECONDS: '1',
    VISIBILITY_TIMEOUT_SECONDS: '5',
    RETRY_BASE_MS: '100',
    RETRY_CAP_MS: '1000',
  };
}

async function senderWithKey({ db }: TestDatabase, keyring: Keyring): Promise<System['sender']> {
  const sender = await fundedSender(db, startingBalanceMinor);
  const draft = {
    senderId: sender.senderId as SenderId,
    name: 'test',
    roles: ['sender', 'operator'] as ('sender' | 'operator')[],
    scopes: null,
    expiresAt: null,
  };
  const { id, key } = await createApiKey(db, { keyring }, draft);
  return { ...sender, apiKeyId: id, key };
}

/** `POST /v1/gifts`. @returns the ids of what was accepted; an answer other than 202 is an error */
export async function acceptOverHttp(
  api: Pick<ApiProcess, 'url'>,
  sender: { key: string },
  bodies: Record<string, unknown>[],
): Promise<GiftId[]> {
  const answers = await Promise.all(
    bodies.map(async (body) => {
      const answer = await postJson(api, sender, '/v1/gifts', body);
      if (answer.status !== 202) throw new Error(`${answer.status} ${answer.text}`);
      return (JSON.parse(answer.text) as { id: GiftId }).id;
    }),
  );
  return answers;
}

export async function postJson(
  api: Pick<ApiProcess, 'url'>,
  sender: { key: string } | null,
  path: string,
  body: unknown,
): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${api.url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'idempotency-key': crypto.randomUUID(),
      ...(sender === null ? {} : { authorization: `Bearer ${sender.key}` }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: answer.status, text: await answer.text() };
}

export function giftBody(index: number): Record<string, unknown> {
  return {
    value: { amount: 1_000 + index, currency: 'EUR' },
    recipient: { type: 'email', email: `recipient-${index}@example.com` },
    message: `Thank you, number ${index}`,
    sender_name: 'Charles',
  };
}
