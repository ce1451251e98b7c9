import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Environment, stopTimeoutMs } from './environment.ts';
import { FOLDER } from './folder.ts';
import type { PartCommand } from './part.ts';
import type { Ports } from './ports.ts';

const NODE_FLAGS = ['--disable-warning=ExperimentalWarning'];

export function sqsPart(ports: Ports): PartCommand {
  return {
    ...nodePart('sqs', ['scripts/embedded/sqs.ts', String(ports.sqs), resolve(FOLDER, 'sqs')], {}),
    ports: [ports.sqs],
    isReady: () => answers(`http://127.0.0.1:${ports.sqs}/health`),
  };
}

/** The mail folder keeps what was caught, so that the mails of before a stop are still there after it. */
export function mailPart(ports: Ports): PartCommand {
  const folder = resolve(FOLDER, 'mail');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const args = ['--ip', '127.0.0.1', '--smtp', String(ports.smtp), '--web', String(ports.mailWeb)];
  return {
    ...nodePart(
      'mail',
      ['node_modules/maildev/bin/maildev', ...args, '--mail-directory', folder, '--silent'],
      {},
    ),
    ports: [ports.smtp, ports.mailWeb],
    isReady: () => answers(`http://127.0.0.1:${ports.mailWeb}/healthz`),
  };
}

export function apiPart(ports: Ports, environment: Environment): PartCommand {
  const own = { PORT: String(ports.api), METRICS_PORT: String(ports.apiMetrics) };
  return {
    ...nodePart('api', ['services/api/main.ts'], { ...environment, ...own }),
    stopTimeoutMs: stopTimeoutMs(environment),
    ports: [ports.api, ports.apiMetrics],
    isReady: () => answers(`http://127.0.0.1:${ports.api}/readyz`),
  };
}

export function consumerPart(ports: Ports, environment: Environment): PartCommand {
  const own = { METRICS_PORT: String(ports.consumerMetrics) };
  return {
    ...nodePart('consumer', ['services/consumer/main.ts', 'gifts'], { ...environment, ...own }),
    stopTimeoutMs: stopTimeoutMs(environment),
    ports: [ports.consumerMetrics],
    isReady: () => answers(`http://127.0.0.1:${ports.consumerMetrics}/readyz`),
  };
}

/** A program that is done when it ends: nobody waits for it to serve. */
export function nodePart(name: string, args: string[], environment: Environment): PartCommand {
  return {
    name,
    command: process.execPath,
    args: [...NODE_FLAGS, ...args],
    env: { ...process.env, ...environment },
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 15_000,
    readyTimeoutMs: 60_000,
    ports: [],
    isReady: async () => true,
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
