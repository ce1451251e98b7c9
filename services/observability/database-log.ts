import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** What the connections of a pool find out on the way, as `services/database` tells it. */
type Note = {
  event: 'sessions_discarded' | 'prepared_statements_off' | 'bounds_refused';
  reason: string;
};

type Examination = { pooled: boolean; preparedStatements: boolean; missingBounds: readonly string[] };

const sentences: Readonly<Record<Note['event'], string>> = {
  sessions_discarded:
    'a session told that its node can not be used; all that were connected by then are discarded',
  prepared_statements_off:
    'a pooler does not follow prepared statements; this process goes on without them, which costs throughput',
  bounds_refused:
    'the bounds of a session were refused at its start; those of the role have to do, which `admin migrate` sets',
};

/** Logs and counts what an operator should know of the way to the database. */
export function databaseLog(deps: { logger: Logger; metrics?: Metrics }, pool: string) {
  const { logger, metrics } = deps;
  for (const event of Object.keys(sentences)) metrics?.databaseNotes.inc({ pool, event }, 0);
  const onNote = ({ event, reason }: Note) => {
    metrics?.databaseNotes.inc({ pool, event });
    logger.warn(sentences[event], { event, pool, reason });
  };
  return {
    onNote,
    onConnectionLost: (error: Error) =>
      logger.warn('a database connection was lost', { event: 'connection_lost', pool, error }),
    onExamined: ({ pooled, preparedStatements, missingBounds }: Examination) => {
      metrics?.preparedStatements.set({ pool }, preparedStatements ? 1 : 0);
      metrics?.unboundedSettings.set({ pool }, missingBounds.length);
      if (!preparedStatements) onNote({ event: 'prepared_statements_off', reason: 'found out at start' });
      if (missingBounds.length > 0) {
        logger.warn(
          'the database bounds nothing of what is named here: a frozen process may hold up others. Run `admin migrate` as the role that serves, or set them for it',
          { event: 'bounds_missing', pool, settings: missingBounds },
        );
      }
      logger.info('the database is examined', {
        event: 'database_examined',
        pool,
        pooled,
        prepared_statements: preparedStatements,
      });
    },
  };
}
