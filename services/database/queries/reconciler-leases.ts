import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

export type LeaseRow = { holder: string; token: number; expires_at: Date };

/** Takes the lease of a queue if nobody holds it. Null: somebody does. Measured by the database's clock alone. */
export async function takeLease(
  db: Kysely<Database>,
  queue: string,
  holder: string,
  ttlSeconds: number,
): Promise<LeaseRow | null> {
  const { rows } = await sql<LeaseRow>`
    insert into reconciler_leases as lease (queue, holder, token, expires_at)
    values (${queue}, ${holder}, 1, clock_timestamp() + make_interval(secs => ${ttlSeconds}))
    on conflict (queue) do update
      set holder = excluded.holder, token = lease.token + 1, expires_at = excluded.expires_at
      where lease.expires_at <= clock_timestamp()
    returning holder, token, expires_at`.execute(db);
  return rows[0] ?? null;
}

/** Prolongs the lease. False: it ran out or somebody else has it; then nothing was changed. */
export async function renewLease(
  db: Kysely<Database>,
  queue: string,
  token: number,
  ttlSeconds: number,
): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    update reconciler_leases set expires_at = clock_timestamp() + make_interval(secs => ${ttlSeconds})
    where queue = ${queue} and token = ${token} and expires_at > clock_timestamp()`.execute(db);
  return numAffectedRows > 0n;
}

export async function endLease(db: Kysely<Database>, queue: string, token: number): Promise<void> {
  await sql`
    update reconciler_leases set expires_at = clock_timestamp()
    where queue = ${queue} and token = ${token} and expires_at > clock_timestamp()`.execute(db);
}

export type LeaseHolder = LeaseRow & { started_at: Date | null };

/** Who holds the lease now, with the start of its run. */
export async function findLeaseHolder(db: Kysely<Database>, queue: string): Promise<LeaseHolder | null> {
  const { rows } = await sql<LeaseHolder>`
    select l.holder, l.token, l.expires_at, r.started_at
    from reconciler_leases l left join reconciler_runs r on r.id = l.holder
    where l.queue = ${queue}`.execute(db);
  return rows[0] ?? null;
}
