import { type RawBuilder, sql } from 'kysely';
import type { IdempotencyClaim } from './idempotency.ts';

/** What a statement that takes a key tells: whether its turn came, whether it found its row as it was read, and what it did. */
export type OnceRow = { got: boolean; found: boolean; done: boolean };

/** `running`: another transaction holds the key; `again`: the row has changed since it was read, or the key was used by now. */
export type OnceOutcome = 'done' | 'running' | 'again';

export function onceOutcome(row: OnceRow | undefined): OnceOutcome {
  if (row?.done) return 'done';
  return row?.got === false ? 'running' : 'again';
}

/**
 * Whose turn it is, as the step `turn`. A twin that is still running is not waited for: its advisory lock ends with its
 * transaction. Without a key it is everybody's.
 */
export function turnOf(claim: Pick<IdempotencyClaim, 'scopeId' | 'key'> | null): RawBuilder<unknown> {
  if (claim === null) return sql`turn as materialized (select true as got)`;
  return sql`turn as materialized (
      select pg_try_advisory_xact_lock(hashtextextended(${`${claim.scopeId}:${claim.key}`}, 0)) as got
    )`;
}

/**
 * The key with its answer, as the step `fresh`, taken only where `source` has a row: it is empty where the key was used
 * before, and whatever the statement does hangs on it. Key, answer and act become true together, in one round trip.
 */
export function freshFrom(claim: IdempotencyClaim | null, source: RawBuilder<unknown>): RawBuilder<unknown> {
  if (claim === null) return sql`fresh as materialized (select 1 from ${source} limit 1)`;
  return sql`fresh as (
      insert into idempotency_keys (scope_id, key, fingerprint, status, body, location)
      select ${claim.scopeId}::uuid, ${claim.key}, ${claim.fingerprint}::bytea, ${claim.status}::integer,
        ${JSON.stringify(claim.body)}::json, ${claim.location}
      from ${source} limit 1
      on conflict do nothing
      returning 1
    )`;
}
