import type { Counter, Gauge } from 'prom-client';

type Make<M extends 'counter' | 'gauge'> = <L extends string>(
  name: string,
  help: string,
  labels: readonly L[],
) => M extends 'counter' ? Counter<L> : Gauge<L>;

/** The way to the database and how it stands, made by the makers of `metrics.ts`. */
export function databaseMetrics({ counter, gauge }: { counter: Make<'counter'>; gauge: Make<'gauge'> }) {
  return {
    /** `state`: total, idle, waiting (callers waiting for a connection). */
    poolConnections: gauge('pool_connections', 'Use of the pool of database connections.', ['pool', 'state']),
    /** `event`: sessions_discarded, prepared_statements_off, bounds_refused. */
    databaseNotes: counter('database_notes_total', 'What was found out on the way to the database.', [
      'pool',
      'event',
    ]),
    giftsSetAside: gauge(
      'gifts_set_aside',
      'Gifts that the database refuses to queue, remind or expire; a person has to look. Must be 0.',
      ['duty'],
    ),
    preparedStatements: gauge(
      'database_prepared_statements',
      '1 while statements are prepared by name, 0 behind a pooler that does not follow them.',
      ['pool'],
    ),
    /** `table`: those that are divided by month. */
    partitionsAheadDays: gauge(
      'partitions_ahead_days',
      'Days until a month begins that a table has no partition for; below 0 when it has begun.',
      ['table'],
    ),
    rowsWithoutMonth: gauge(
      'rows_without_month',
      'Rows in the partition for what belongs to no month that there is, up to ten thousand; must be 0.',
      ['table'],
    ),
    unboundedSettings: gauge(
      'database_unbounded_settings',
      'Time-outs of the database that are not in force for our sessions; must be 0.',
      ['pool'],
    ),
  };
}
