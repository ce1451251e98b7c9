import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { reachApi } from './api.ts';
import { openMails } from './mail.ts';
import type { Namespace } from './namespace.ts';
import { nodePod } from './node-pod.ts';

export interface LoadResult {
  accepted: number;
  /** Requests that got no answer, or one that says to ask again, and were asked again. */
  repeated: number;
  failures: string[];
}

interface LoadOptions {
  /** Of the pod, and what its recipients' addresses begin with. */
  name?: string;
  /** Asks again, with the same key, until there is an answer. */
  insists?: boolean;
}

const script = readFileSync(new URL('load.mjs', import.meta.url), 'utf8');

/** Senders inside the cluster: they come through the Service, as a port-forward does not. @returns how to stop them */
export async function startLoad(
  namespace: Namespace,
  key: string,
  { name = 'load', insists = false }: LoadOptions = {},
): Promise<() => Promise<LoadResult>> {
  const env = { API_URL: 'http://largesse-api', API_KEY: key, CLIENTS: '4', NAME: name };
  await namespace.apply([nodePod(name, script, { env: { ...env, INSISTS: insists ? 'yes' : '' } })]);
  await namespace.kubectl('wait', `pod/${name}`, '--for=condition=Ready', '--timeout=60s');
  return async () => {
    await namespace.kubectl('exec', name, '--', 'node', '--eval', "process.kill(1, 'SIGTERM')");
    const ended = '--for=jsonpath={.status.phase}=Succeeded';
    await namespace.kubectl('wait', `pod/${name}`, ended, '--timeout=60s');
    return JSON.parse(await namespace.kubectl('logs', name)) as LoadResult;
  };
}

interface Sent {
  /** What the addresses of these gifts begin with, and no other's. */
  name: string;
  accepted: number;
  /** A worker was killed: a mail that may have left then is sent once more, and has the same Message-ID and link. */
  mayRepeat?: boolean;
}

/** Each accepted gift is there once and is delivered once, and the ledger is even. `key`: of a sender who sent these alone. */
export async function allArrive(
  namespace: Namespace,
  key: string,
  { name, accepted, mayRepeat = false }: Sent,
): Promise<void> {
  const [api, mails] = await Promise.all([reachApi(namespace, key), openMails(namespace)]);
  try {
    await eventually(
      async () => {
        const states = await api.states();
        expect(states).toHaveLength(accepted);
        expect(states.filter((state) => state !== 'delivered')).toEqual([]);
      },
      { timeoutMs: 240_000, intervalMs: 1_000 },
    );
    const addresses = (await mails.recipients()).filter((address) => address.startsWith(`${name}-`));
    expect(new Set(addresses).size).toBe(accepted);
    if (!mayRepeat) expect(addresses).toHaveLength(accepted);
    expect(await api.ask('/v1/ledger/invariants')).toMatchObject({ ok: true });
  } finally {
    await Promise.all([api.close(), mails.close()]);
  }
}
