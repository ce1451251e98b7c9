import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';

export type HeldDelivery = { delivery_id: string; attempt: number };

/**
 * Gives deliveries that this worker still holds another `leaseSeconds`, their gifts with them. What another worker has taken
 * over, and what somebody has locked at this moment, stays as it is: the next renewal comes before the lease is over.
 */
export async function renewDeliveryLeases(
  db: Kysely<Database>,
  held: HeldDelivery[],
  leaseSeconds: number,
): Promise<void> {
  await sql`
    with input as (
      select * from json_to_recordset(${JSON.stringify(held)}::json) as held (delivery_id uuid, attempt integer)
    ), locked as materialized (
      select g.id, g.state from gifts g
      where g.id in (select d.gift_id from deliveries d join input on input.delivery_id = d.id)
      order by g.id for no key update skip locked
    ), renewed as (
      update deliveries d set lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
      from input, locked
      where d.id = input.delivery_id and d.gift_id = locked.id and d.attempts = input.attempt and d.state = 'sending'
      returning d.gift_id, d.purpose
    )
    update gifts g set lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
    from renewed join locked on locked.id = renewed.gift_id
    where g.id = locked.id and renewed.purpose = 'gift' and locked.state = 'delivering'`.execute(db);
}
