import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createDatabase, type DatabaseClient } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import type { SenderId } from '../../services/domain/ids.ts';
import { creditTopup } from '../../services/domain/payments/credit-topup.ts';
import { createKeyringFile, parseKeyring } from '../../services/domain/recipients/keyring.ts';
import { createApiKey } from '../../services/domain/senders/create-api-key.ts';
import { createSender } from '../../services/domain/senders/create-sender.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { type Floor, openFloor, statementsOfAccept } from './accept-floor.ts';
import { sendGifts } from './send-gifts.ts';

export interface AcceptBenchRow {
  what: string;
  senders: number;
  connections: number;
  accepts: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** of the floor with as many senders and connections */
  ofFloor: string;
}

type Sender = { senderId: SenderId; key: string };

/**
 * POST /v1/gifts over HTTP (a process of its own, all that it does included: authentication, two budgets, validation,
 * sealing, log line, relay) beside the floor: the same transaction's statements alone, from as many connections, in
 * the same run against the same Postgres. The two take turns, as a shared machine is faster at one minute than the next.
 */
export async function run({ accepts = 9_000, rounds = 6 } = {}): Promise<AcceptBenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'largesse-bench-'));
  const postgres = await startPostgres();
  const children: ChildProcess[] = [];
  try {
    const keyringFile = join(folder, 'keyring.json');
    await writeFile(keyringFile, createKeyringFile('bench'));
    const client = createDatabase({ connectionString: postgres.url, poolMax: 4, applicationName: 'bench' });
    await migrate(client.db);
    const senders = await createSenders(client, keyringFile, 8);
    const apiUrl = await startApi(postgres, keyringFile, children);
    await overHttp(apiUrl, senders, 1_500, 32);
    const rows: AcceptBenchRow[] = [];
    for (const connections of [16, 32]) {
      const floor = await openFloor(postgres.url, connections);
      await onFloor(floor, senders, 1_500);
      for (const used of [senders, senders.slice(0, 1)]) {
        const bare: Measured = { seconds: 0, latenciesMs: [] };
        const http: Measured = { seconds: 0, latenciesMs: [] };
        for (let round = 0; round < rounds; round += 1) {
          add(bare, await onFloor(floor, used, accepts / rounds));
          add(http, await overHttp(apiUrl, used, accepts / rounds, connections));
        }
        const of = { senders: used.length, connections };
        rows.push(toRow('bare pg loop', of, bare, bare), toRow('POST /v1/gifts', of, http, bare));
      }
      await floor.close();
    }
    await client.db.destroy();
    return rows;
  } finally {
    for (const child of children) await end(child);
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

type Measured = { seconds: number; latenciesMs: number[] };

function add(sum: Measured, { seconds, latenciesMs }: Measured): void {
  sum.seconds += seconds;
  sum.latenciesMs.push(...latenciesMs);
}

async function onFloor(floor: Floor, senders: Sender[], count: number): Promise<Measured> {
  const accepts = await Promise.all(
    Array.from({ length: count }, (_, i) => statementsOfAccept(senderOf(senders, i).senderId)),
  );
  const startedAt = performance.now();
  const latenciesMs = await floor.run(accepts);
  return { seconds: (performance.now() - startedAt) / 1_000, latenciesMs };
}

async function overHttp(
  apiUrl: string,
  senders: Sender[],
  count: number,
  connections: number,
): Promise<Measured> {
  const posts = Array.from({ length: count }, (_, i) => ({
    apiKey: senderOf(senders, i).key,
    idempotencyKey: crypto.randomUUID(),
    body,
  }));
  const startedAt = performance.now();
  const latenciesMs = await sendGifts(apiUrl, connections, posts);
  return { seconds: (performance.now() - startedAt) / 1_000, latenciesMs };
}

const body = {
  value: { amount: 2_500, currency: 'EUR' },
  recipient: { type: 'email', email: 'ada@example.com' },
  message: 'Well done',
  sender_name: 'Charles',
};

async function createSenders({ db }: DatabaseClient, keyringFile: string, count: number): Promise<Sender[]> {
  const { readFile } = await import('node:fs/promises');
  const keyring = parseKeyring(await readFile(keyringFile, 'utf8'));
  const senders: Sender[] = [];
  for (let i = 0; i < count; i += 1) {
    const senderId = await createSender(db, { name: `Sender ${i}` });
    const draft = { senderId, name: 'bench', roles: ['sender' as const], scopes: null, expiresAt: null };
    const { key } = await createApiKey(db, { keyring }, draft);
    const value = { amount: 1_000_000_000, currency: 'EUR' };
    const topup = { senderId, value, reference: null, apiKeyId: null, requestId: null };
    await db.transaction().execute((trx) => creditTopup(trx, topup));
    senders.push({ senderId, key });
  }
  return senders;
}

async function startApi(
  postgres: PostgresServer,
  keyringFile: string,
  children: ChildProcess[],
): Promise<string> {
  const emulator = fork(new URL('./emulator-process.ts', import.meta.url));
  children.push(emulator);
  const [sqs] = (await once(emulator, 'message')) as [{ endpoint: string; region: string }];
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: postgres.url,
    DATABASE_POOL_MAX: '16',
    AWS_REGION: sqs.region,
    AWS_ENDPOINT_URL_SQS: sqs.endpoint,
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
    QUEUE_PROVISIONING: 'create',
    KEYRING_FILE: keyringFile,
    PUBLIC_URL: 'http://127.0.0.1',
    LOG_FORMAT: 'json',
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    RATE_LIMIT_IP_PER_MINUTE: '1000000000',
    RATE_LIMIT_KEY_PER_MINUTE: '1000000000',
  };
  const flags = process.env['BENCH_API_FLAGS']?.split(' ') ?? [];
  const api = spawn(process.execPath, [...flags, 'services/api/main.ts'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(api);
  for await (const line of createInterface({ input: api.stdout })) {
    if (!line.includes('"event":"started"')) continue;
    api.stdout.resume();
    return `http://127.0.0.1:${JSON.parse(line).port}`;
  }
  throw new Error('the API did not start');
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  if (child.connected) child.disconnect();
  else child.kill('SIGTERM');
  await exited;
}

function senderOf(senders: Sender[], index: number): Sender {
  const sender = senders[index % senders.length];
  if (!sender) throw new Error('no sender');
  return sender;
}

function toRow(
  what: string,
  of: { senders: number; connections: number },
  measured: Measured,
  floor: Measured,
): AcceptBenchRow {
  const sorted = measured.latenciesMs.toSorted((a, b) => a - b);
  const percentile = (share: number) => Number((sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1));
  const rate = ({ latenciesMs, seconds }: Measured) => latenciesMs.length / seconds;
  return {
    what,
    ...of,
    accepts: sorted.length,
    perSecond: Math.round(rate(measured)),
    p50Ms: percentile(0.5),
    p99Ms: percentile(0.99),
    ofFloor: `${Math.round((rate(measured) / rate(floor)) * 100)} %`,
  };
}

if (import.meta.main) console.table(await run());
