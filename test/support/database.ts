import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { boundsFor } from '../../services/database/bounds.ts';
import { createDatabase, type DatabaseClient } from '../../services/database/client.ts';

/** Two runs against one external server must not share a template. */
export const templateName = `largesse_template_${process.env['JEST_RUN_ID'] ?? 'run'}`;

export type TestDatabase = DatabaseClient & {
  url: string;
  /** closes the pool, ends everybody's connections and drops the database */
  drop: () => Promise<void>;
};

/** A database of its own, cloned from the migrated template: a few dozen milliseconds. */
export async function createTestDatabase(options: { poolMax?: number } = {}): Promise<TestDatabase> {
  const server = serverUrl();
  const name = `largesse_${randomBytes(6).toString('hex')}`;
  await onServer(server, (client) => client.query(`create database ${name} template ${templateName}`));
  const url = withDatabaseName(server, name);
  const client = createDatabase({
    connectionString: url,
    poolMax: options.poolMax ?? 10,
    applicationName: 'largesse-test',
    // A test may hold a lock for as long as what it shows takes.
    bounds: { ...boundsFor(12_000), idle_in_transaction_session_timeout: 0, transaction_timeout: 0 },
  });
  const drop = async () => {
    await client.db.destroy();
    await onServer(server, (admin) => admin.query(`drop database ${name} with (force)`));
  };
  return { ...client, url, drop };
}

/** An empty database under a fixed name, replacing what was there. */
export async function createEmptyDatabase(server: string, name: string): Promise<void> {
  await onServer(server, async (client) => {
    await client.query(`drop database if exists ${name} with (force)`);
    await client.query(`create database ${name}`);
  });
}

export function withDatabaseName(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

export function serverUrl(): string {
  const url = process.env['TEST_DATABASE_URL'];
  if (!url) throw new Error('TEST_DATABASE_URL is not set: run the tests through npm test');
  return url;
}

async function onServer<T>(server: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
