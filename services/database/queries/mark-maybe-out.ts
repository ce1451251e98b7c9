import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { HeldDelivery } from './renew-leases.ts';

/** `overtaken`: it is another worker's now, or has ended; `locked`: somebody holds its row at this moment */
export type Marked = 'marked' | 'overtaken' | 'locked';

/**
 * Says of deliveries that this worker still holds that their mails may be out from now on. The mark is on the row whose
 * lease others take: who takes it over sees it, and who was overtaken finds that out before the mail instead of after it.
 * No lock is waited for, so this can be part of no deadlock, whatever order the others lock in.
 *
 * @returns for each in order
 */
export async function markMaybeOut(db: Kysely<Database>, held: readonly HeldDelivery[]): Promise<Marked[]> {
  const ids = held.map(({ delivery_id }) => delivery_id);
  const { rows } = await sql<{ delivery_id: string; marked: boolean }>`
    with locked as materialized (
      select id, attempts, state from deliveries where id = any (${ids}::uuid[]) for no key update skip locked
    ), marked as (
      update deliveries d set maybe_out_since = clock_timestamp()
      from locked join unnest(${ids}::uuid[], ${held.map(({ attempt }) => attempt)}::integer[]) as held (delivery_id, attempt)
        on held.delivery_id = locked.id and held.attempt = locked.attempts and locked.state = 'sending'
      where d.id = any (${ids}::uuid[]) and d.id = locked.id
      returning d.id
    )
    select locked.id as delivery_id, marked.id is not null as marked
    from locked left join marked on marked.id = locked.id`.execute(db);
  const byId = new Map(rows.map((row) => [row.delivery_id, row.marked]));
  return held.map(({ delivery_id }) => {
    const marked = byId.get(delivery_id);
    return marked === undefined ? 'locked' : marked ? 'marked' : 'overtaken';
  });
}
