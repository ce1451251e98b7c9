import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startPostgres } from '../support/postgres-server.ts';
import { endChild } from './end-child.ts';

export type WholeSystem = {
  apiUrl: string;
  databaseUrl: string;
  /** an API key of a sender with a well-filled funding account in EUR */
  key: string;
  /** the Prometheus text of a role */
  metrics: (role: 'api' | 'consumer') => Promise<string>;
  stop: () => Promise<void>;
};

/** Every part of Largesse as its own process, on free ports: Postgres, SQS emulator, mail sink, api and consumer. */
export async function startWholeSystem(options: { maxInFlight: number }): Promise<WholeSystem> {
  const folder = await mkdtemp(join(tmpdir(), 'largesse-bench-'));
  const postgres = await startPostgres();
  const children: ChildProcess[] = [];
  const helper = async <T>(file: string): Promise<T> => {
    const child = fork(new URL(file, import.meta.url));
    children.push(child);
    const [answer] = await once(child, 'message');
    return answer as T;
  };
  const emulator = await helper<{ endpoint: string; region: string }>('./emulator-process.ts');
  const mail = await helper<{ url: string }>('./mail-process.ts');
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: postgres.url,
    AWS_REGION: emulator.region,
    AWS_ENDPOINT_URL_SQS: emulator.endpoint,
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
    QUEUE_PROVISIONING: 'create',
    KEYRING_FILE: join(folder, 'keyring.json'),
    PUBLIC_URL: 'http://127.0.0.1',
    SMTP_URL: mail.url,
    MAIL_FROM: 'Largesse <gifts@largesse.example>',
    LOG_FORMAT: 'json',
    LOG_LEVEL: 'info',
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    MAX_IN_FLIGHT: String(options.maxInFlight),
    RATE_LIMIT_IP_PER_MINUTE: '1000000000',
    RATE_LIMIT_KEY_PER_MINUTE: '1000000000',
  };
  const admin = async (...args: string[]) =>
    (await promisify(execFile)(process.execPath, ['services/admin/main.ts', ...args], { env })).stdout.trim();
  await admin('create-keyring', '--file', env.KEYRING_FILE);
  await admin('migrate');
  const sender = await admin('create-sender', '--name', 'Bench');
  const key = await admin(
    'create-key',
    '--sender',
    sender,
    '--roles',
    'sender,admin,operator',
    '--name',
    'bench',
  );
  const api = await startRole(['services/api/main.ts'], env, children);
  const consumer = await startRole(['services/consumer/main.ts', 'gifts'], env, children);
  const apiUrl = `http://127.0.0.1:${api.port}`;
  await topUp(apiUrl, key, sender);
  return {
    apiUrl,
    databaseUrl: postgres.url,
    key,
    metrics: async (role) => {
      const port = role === 'api' ? api.metricsPort : consumer.metricsPort;
      return await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    },
    stop: async () => {
      for (const child of children.toReversed()) await endChild(child);
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type Ports = { port: number; metricsPort: number };

/** Resolves with the ports that the role's log names once it serves. */
async function startRole(args: string[], env: NodeJS.ProcessEnv, children: ChildProcess[]): Promise<Ports> {
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return await new Promise((resolve, reject) => {
    let text = '';
    child.once('exit', (code) => reject(new Error(`${args.join(' ')} ended with ${code}:\n${text}`)));
    child.stdout.on('data', (chunk: Buffer) => {
      if (text.length > 100_000) return;
      text += chunk.toString();
      const ports = portsIn(text);
      if (ports) resolve(ports);
    });
  });
}

function portsIn(log: string): Ports | undefined {
  const [api] = linesOf(log, 'started');
  if (api) return { port: Number(api['port']), metricsPort: Number(api['metrics_port']) };
  const [[admin], [consuming]] = [linesOf(log, 'admin_listening'), linesOf(log, 'consumer_started')];
  return admin && consuming ? { port: 0, metricsPort: Number(admin['port']) } : undefined;
}

function linesOf(log: string, event: string): Record<string, unknown>[] {
  const whole = log.slice(0, log.lastIndexOf('\n')).split('\n');
  return whole.filter((line) => line.includes(`"event":"${event}"`)).map((line) => JSON.parse(line));
}

async function topUp(apiUrl: string, key: string, sender: string): Promise<void> {
  for (let step = 0; step < 20; step += 1) {
    const response = await fetch(`${apiUrl}/v1/topups`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': `top-${step}`,
      },
      body: JSON.stringify({
        sender_id: sender,
        type: 'manual',
        value: { amount: 100_000_000, currency: 'EUR' },
      }),
    });
    if (!response.ok) throw new Error(`top-up: ${response.status} ${await response.text()}`);
    await response.body?.cancel();
  }
}
