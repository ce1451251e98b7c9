import { setTimeout as wait } from 'node:timers/promises';
import type { Namespace } from './namespace.ts';
import { forward, type PortForward } from './port-forward.ts';
import { createSender } from './sender.ts';

export interface Gift {
  id: string;
  state: string;
}

export interface Api {
  /** Of its sender. */
  key: string;
  /** One gift to `address`; the idempotency key is the address. */
  send: (address: string) => Promise<Gift>;
  /** The state of every gift of this sender. */
  states: () => Promise<string[]>;
  ask: <T>(path: string, init?: RequestInit) => Promise<T>;
  close: () => Promise<void>;
}

/** The API of an installation, and a sender who has money there. */
export async function openApi(namespace: Namespace, amountMinor = 10_000_000): Promise<Api> {
  return reachApi(namespace, (await createSender(namespace, amountMinor)).key);
}

/** One pod of it: when that ends, the way there does. */
export async function reachApi(namespace: Namespace, key: string): Promise<Api> {
  const way = await forward(namespace, 'largesse-api', 80);
  const ask = <T>(path: string, init: RequestInit = {}) => request<T>(way, key, path, init);
  return {
    key,
    ask,
    // A busy machine answers 503 and says how to go on: the same request, with the same key, is one gift.
    send: (address) =>
      insist(() =>
        ask<Gift>('/v1/gifts', {
          method: 'POST',
          headers: { 'idempotency-key': address },
          body: JSON.stringify({
            value: { amount: 100, currency: 'EUR' },
            recipient: { type: 'email', email: address },
          }),
        }),
      ),
    states: async () => {
      const states: string[] = [];
      for (let next: string | null = '/v1/gifts?limit=100'; next !== null; ) {
        const page: Page = await ask<Page>(next);
        states.push(...page.data.map(({ state }) => state));
        next = page.has_more ? `/v1/gifts?limit=100&after=${page.data.at(-1)?.id}` : null;
      }
      return states;
    },
    close: way.close,
  };
}

async function insist<T>(attempt: () => Promise<T>, attempts = 10): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (attempts === 1 || !(error instanceof Error && error.message.includes(': 503 '))) throw error;
    await wait(1_000);
    return insist(attempt, attempts - 1);
  }
}

type Page = { data: Gift[]; has_more: boolean };

async function request<T>(way: PortForward, key: string, path: string, init: RequestInit): Promise<T> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...init.headers };
  const response = await fetch(`${way.url}${path}`, { ...init, headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`${init.method ?? 'GET'} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}
