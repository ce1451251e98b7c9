import { sql, type Transaction } from 'kysely';
import type { Database } from '../schema.ts';

/**
 * Closes at most `limit` of each of what was left open: a reminder whose worker died, which nobody may send again (where its mail
 * may be out it counts as sent, in doubt); a delivery of a gift that has ended, or of one that counts as delivered since a mail in doubt, whose repeat has not come, or has lost its worker, for two days; an
 * attempt of a delivery that is not being sent. The first and the repeat come about by themselves: a worker can die, a message
 * be lost at any time. The others are ended with what they hang on, and are looked for in case that ever fails.
 *
 * @returns how many were closed
 */
export async function closeLeftovers(trx: Transaction<Database>, limit: number): Promise<number> {
  const { rows } = await sql<{ closed: number }>`
    with abandoned as materialized (
      select id, maybe_out_since is not null as maybe_out from deliveries
      where purpose = 'reminder' and state = 'sending' and lease_until < clock_timestamp() - interval '1 minute'
      limit ${limit} for no key update skip locked
    ), interrupted as (
      update delivery_attempts a set outcome = case when abandoned.maybe_out then 'in_doubt' else 'interrupted' end,
        finished_at = clock_timestamp()
      from abandoned where a.delivery_id = abandoned.id and a.outcome = 'started'
    ), given_up as (
      update deliveries d set state = case when abandoned.maybe_out then 'sent' else 'failed' end, lease_until = null,
        state_changed_at = clock_timestamp()
      from abandoned where d.id = abandoned.id
      returning d.id
    ), orphaned as materialized (
      select d.id, g.state as gift_state from deliveries d join gifts g on g.id = d.gift_id
      where d.state in ('pending', 'sending', 'deferred')
        and (g.state in ('claimed', 'failed', 'rejected', 'cancelled', 'expired')
          or (g.state = 'delivered' and d.purpose = 'gift'
            and (d.state = 'deferred' or (d.state = 'sending' and d.lease_until < clock_timestamp()))
            and d.state_changed_at < clock_timestamp() - interval '2 days'))
        and d.id not in (select id from abandoned)
      limit ${limit} for no key update of d skip locked
    ), ended as (
      update deliveries d set state = case when orphaned.gift_state = 'failed' then 'failed' else 'suppressed' end,
        lease_until = null, state_changed_at = clock_timestamp()
      from orphaned where d.id = orphaned.id
      returning d.id
    ), loose as materialized (
      select a.delivery_id, a.number from delivery_attempts a join deliveries d on d.id = a.delivery_id
      where a.outcome = 'started' and d.state <> 'sending'
      limit ${limit} for no key update of a skip locked
    ), superseded as (
      update delivery_attempts a set outcome = 'superseded', finished_at = clock_timestamp()
      from loose where a.delivery_id = loose.delivery_id and a.number = loose.number
      returning a.id
    )
    select (select count(*) from given_up) + (select count(*) from ended) + (select count(*) from superseded)
      as closed`.execute(trx);
  return rows[0]?.closed ?? 0;
}
