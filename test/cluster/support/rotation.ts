import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import type { Namespace } from './namespace.ts';
import { forward } from './port-forward.ts';

export async function readSecret(namespace: Namespace, name: string, key: string): Promise<string> {
  const { data } = await namespace.get<{ data: Record<string, string> }>('secret', name);
  return Buffer.from(data[key] ?? '', 'base64').toString();
}

export async function setSecret(
  namespace: Namespace,
  name: string,
  key: string,
  value: string,
): Promise<void> {
  const patch = JSON.stringify({ stringData: { [key]: value } });
  await namespace.kubectl('patch', 'secret', name, '--type=merge', '--patch', patch);
}

/** As External Secrets leaves one whose source lacks it. @returns what it was */
export async function removeFromSecret(namespace: Namespace, name: string, key: string): Promise<string> {
  const value = await readSecret(namespace, name, key);
  const patch = JSON.stringify([{ op: 'remove', path: `/data/${key}` }]);
  await namespace.kubectl('patch', 'secret', name, '--type=json', '--patch', patch);
  return value;
}

/** The keyring of an installation with one more wrapping key, `current` the one to seal under. */
export async function keyringWith(namespace: Namespace, id: string, current = 'k1'): Promise<string> {
  const keyring = JSON.parse(await readSecret(namespace, 'largesse-keyring', 'keyring.json')) as {
    keys: Record<string, string>;
  };
  const added = { [id]: randomBytes(32).toString('base64') };
  return JSON.stringify({ ...keyring, current, keys: { ...added, ...keyring.keys } });
}

export interface DatabaseUsers {
  /** With which the new one logs in. */
  url: string;
  /** By whom our pods are connected. */
  inUse: () => Promise<string[]>;
  /** By which keys recipients were sealed. */
  sealedUnder: () => Promise<string[]>;
}

/** A second user with the rights of the first one: with two that take turns, both passwords hold while pods are replaced. */
export async function addDatabaseUser(namespace: Namespace, name: string): Promise<DatabaseUsers> {
  const password = randomBytes(18).toString('base64url');
  await query(namespace, `create role "${name}" login password '${password}' in role largesse`);
  return {
    url: `postgres://${name}:${password}@postgres:5432/largesse?sslmode=disable`,
    inUse: () =>
      query(
        namespace,
        `select distinct usename as item from pg_stat_activity
         where application_name in ('largesse-api', 'largesse-consumer') order by item`,
      ),
    sealedUnder: () =>
      query(namespace, 'select distinct keyring_key_id as item from recipients order by item'),
  };
}

/** As the owner of the database, on a connection of its own. @returns the column `item` of each row */
async function query(namespace: Namespace, sql: string): Promise<string[]> {
  const password = await readSecret(namespace, 'postgres', 'password');
  const way = await forward(namespace, 'postgres', 5432);
  const port = Number(new URL(way.url).port);
  const client = new Client({ host: '127.0.0.1', port, user: 'largesse', database: 'largesse', password });
  try {
    await client.connect();
    return (await client.query<{ item: string }>(sql)).rows.map(({ item }) => item);
  } finally {
    await client.end();
    await way.close();
  }
}
