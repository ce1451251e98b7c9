import { createDatabase } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import { createEmptyDatabase, templateName, withDatabaseName } from './database.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

declare global {
  var largessePostgres: PostgresServer | undefined;
}

/** One PostgreSQL for the whole run, with a migrated template that every test file clones. */
export default async function globalSetup(): Promise<void> {
  let url = process.env['TEST_DATABASE_URL'];
  if (!url) {
    globalThis.largessePostgres = await startPostgres();
    url = globalThis.largessePostgres.url;
    process.env['TEST_DATABASE_URL'] = url;
  }
  await createEmptyDatabase(url, templateName);
  const { db } = createDatabase({
    connectionString: withDatabaseName(url, templateName),
    poolMax: 1,
    applicationName: 'largesse-test-template',
  });
  await migrate(db);
  await db.destroy();
}
