import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Database } from '../schema.ts';

export type LifecycleInvariantName =
  | 'ended_gifts_send_nothing'
  | 'attempts_end_with_deliveries'
  | 'reminders_have_a_worker';

export type LifecycleInvariantRow = { name: LifecycleInvariantName; meaning: string; broken: number };

const ended = sql`('claimed', 'failed', 'rejected', 'cancelled', 'expired')`;

/** An end has ended what hung on it. Each is served by a partial index of what is open, whose size is that of the work under way. */
const invariants: readonly {
  name: LifecycleInvariantName;
  meaning: string;
  broken: RawBuilder<unknown>;
}[] = [
  {
    name: 'ended_gifts_send_nothing',
    meaning: 'no delivery of a gift that has ended is under way (deliveries that are)',
    broken: sql`select count(*) from deliveries d join gifts g on g.id = d.gift_id
      where d.state in ('pending', 'sending', 'deferred') and g.state in ${ended}`,
  },
  {
    name: 'attempts_end_with_deliveries',
    meaning: 'no attempt is open whose delivery is not being sent (attempts that are)',
    broken: sql`select count(*) from delivery_attempts a join deliveries d on d.id = a.delivery_id
      where a.outcome = 'started' and d.state <> 'sending'`,
  },
  {
    name: 'reminders_have_a_worker',
    meaning: 'no reminder is being sent by a worker that is gone for an hour (reminders that are)',
    broken: sql`select count(*) from deliveries
      where state = 'sending' and purpose = 'reminder' and lease_until < clock_timestamp() - interval '1 hour'`,
  },
];

/** What is left open by ends, of one moment. `db` must not be in a transaction yet. */
export async function readLifecycleInvariants(db: Kysely<Database>): Promise<LifecycleInvariantRow[]> {
  const snapshot = db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only');
  return await snapshot.execute(async (tx) => {
    const rows: LifecycleInvariantRow[] = [];
    for (const { name, meaning, broken } of invariants) {
      const { rows: found } = await sql<{ broken: number }>`select (${broken})::bigint as broken`.execute(tx);
      rows.push({ name, meaning, broken: found[0]?.broken ?? Number.NaN });
    }
    return rows;
  });
}
