import { sql } from 'kysely';

/**
 * A step that no lock may hold up for longer than half a second, whatever the session's own bound is: local to the
 * statement's transaction, so that it holds behind a transaction-pooling proxy. Refer to `(select bounded from briefly)` where
 * the first lock is taken: what nobody refers to is not run.
 */
export const briefly = sql`briefly as materialized (
      select set_config('lock_timeout', '500ms', true) <> '' as bounded
    )`;
