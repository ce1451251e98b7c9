import type { Kysely } from 'kysely';
import { boundRole, boundsFor } from '../../database/bounds.ts';
import { defaultStatementTimeoutMs } from '../../database/client.ts';
import { isBusy } from '../../database/errors.ts';
import { migrate } from '../../database/migrate.ts';
import { makeNextMonth } from '../../database/queries/months.ts';
import type { Database } from '../../database/schema.ts';
import { ensureQueue } from '../../queue/provision.ts';
import { maxReceiveCountFor } from '../../queue/queue-settings.ts';
import { command } from '../command.ts';
import { type AdminContext, queueConfig, withQueues } from '../context.ts';

export const schemaCommands = [
  command({
    name: 'migrate',
    summary: 'bring the schema up to date; with QUEUE_PROVISIONING=create the queues too',
    details:
      'Runs before anything that needs the schema. When it fails, a rollout must stop: the exit code is 1.',
    options: {},
    run: async (context) => {
      // Asked first: half of the work done and then refused for a variable would be found out late.
      const config = context.env['QUEUE_PROVISIONING']?.trim() ? queueConfig(context.env) : undefined;
      const applied = await context.withUnboundedDatabase(migrate);
      const months = await context.withUnboundedDatabase(makeMonths);
      await context.withDatabase((db) => boundRole(db, boundsFor(defaultStatementTimeoutMs)));
      const queues = config?.QUEUE_PROVISIONING === 'create' ? await provision(context) : null;
      const said = applied.length === 0 ? 'the schema is up to date' : `migrated: ${applied.join(', ')}`;
      const made = months.length === 0 ? '' : `\nmonths added: ${months.join(', ')}`;
      const ready = queues === null ? '' : `\nqueues are ready: ${queues.join(', ')}`;
      return { json: { migrated: applied, months, queues }, text: `${said}${made}${ready}` };
    },
  }),
  command({
    name: 'provision',
    summary: 'make the queue and its dead-letter queue where they are missing',
    options: {},
    run: async (context) => {
      const queues = await provision(context);
      return { json: { queues }, text: `queues are ready: ${queues.join(', ')}` };
    },
  }),
];

/** While a dump or an open transaction holds a table, none is made: that is no reason to fail, as the API makes them later on. */
async function makeMonths(db: Kysely<Database>): Promise<string[]> {
  const months: string[] = [];
  try {
    for (let made = await makeNextMonth(db); made !== null; made = await makeNextMonth(db)) months.push(made);
  } catch (error) {
    if (!isBusy(error)) throw error;
  }
  return months;
}

async function provision({ env }: AdminContext): Promise<string[]> {
  const config = queueConfig(env);
  const queue = await withQueues(config, (clients) =>
    ensureQueue(clients, {
      name: config.GIFTS_QUEUE_NAME,
      deadLetterName: `${config.GIFTS_QUEUE_NAME}-dlq`,
      visibilityTimeoutSeconds: config.VISIBILITY_TIMEOUT_SECONDS,
      maxReceiveCount: maxReceiveCountFor(config.MAX_RETRY_COUNT),
      mode: 'create',
    }),
  );
  return [queue.name, queue.deadLetterName];
}
