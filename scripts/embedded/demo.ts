import type { Environment } from './environment.ts';
import { readJson, writeJson } from './folder.ts';
import type { OneShots } from './run-once.ts';

/** Somebody who can gift at once. Kept in `.largesse/demo.json`, so that pasted commands still work tomorrow. */
export interface Demo {
  senderId: string;
  /** Roles sender, operator and auditor. */
  key: string;
  /** Role admin: tops up. */
  adminKey: string;
}

export interface DemoDeps {
  apiUrl: string;
  oneShots: OneShots;
  environment: Environment;
}

const FUNDS = { amount: 1_000_000, currency: 'EUR' };

/** Finds the remembered demo sender if this database still knows its key, or else makes one and funds it. */
export async function ensureDemo(deps: DemoDeps): Promise<Demo> {
  const remembered = readJson<Demo>('demo.json');
  if (remembered !== undefined && (await isKnown(deps.apiUrl, remembered.key))) return remembered;
  const demo = await createDemo(deps);
  await topUp(deps.apiUrl, demo);
  writeJson('demo.json', demo);
  return demo;
}

async function createDemo({ oneShots, environment }: DemoDeps): Promise<Demo> {
  const admin = async (...args: string[]) =>
    (await oneShots.demand(['services/admin/main.ts', ...args], environment)).trim();
  const senderId = await admin('create-sender', '--name', 'Demo sender');
  const createKey = (roles: string, name: string) =>
    admin('create-key', '--sender', senderId, '--roles', roles, '--name', name);
  const key = await createKey('sender,operator,auditor', 'demo');
  const adminKey = await createKey('admin', 'demo admin');
  return { senderId, key, adminKey };
}

async function isKnown(apiUrl: string, key: string): Promise<boolean> {
  const response = await fetch(`${apiUrl}/v1/funding-accounts`, {
    headers: { authorization: `Bearer ${key}` },
  });
  await response.body?.cancel();
  return response.ok;
}

async function topUp(apiUrl: string, demo: Demo): Promise<void> {
  const response = await fetch(`${apiUrl}/v1/topups`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${demo.adminKey}`,
      'content-type': 'application/json',
      'idempotency-key': `demo-${demo.senderId}`,
    },
    body: JSON.stringify({ sender_id: demo.senderId, type: 'manual', value: FUNDS }),
  });
  if (!response.ok)
    throw new Error(`The demo account could not be funded: ${response.status} ${await response.text()}`);
}
