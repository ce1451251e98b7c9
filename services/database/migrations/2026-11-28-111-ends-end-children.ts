import { type Kysely, sql } from 'kysely';

/**
 * An end ends what hangs on it: with its gift, every delivery that is still to be made; with its delivery, every attempt
 * that nobody will finish. By triggers, so that it holds in the statement that ends, whoever writes it: also for the
 * release before this one, which runs beside it during an upgrade, and for ends that are yet to be invented.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await closeWhatWasLeftOpen(db);
  await indexWhatIsOpen(db);
  await endDeliveriesWithTheirGift(db);
  await endAttemptsWithTheirDelivery(db);
}

async function closeWhatWasLeftOpen(db: Kysely<unknown>): Promise<void> {
  await sql`
    update deliveries d set state = case when g.state = 'failed' then 'failed' else 'suppressed' end,
      lease_until = null, state_changed_at = clock_timestamp()
    from gifts g
    where g.id = d.gift_id and d.state in ('pending', 'sending', 'deferred')
      and g.state in ('claimed', 'failed', 'rejected', 'cancelled', 'expired')`.execute(db);
  await sql`
    update delivery_attempts a set outcome = 'superseded', finished_at = clock_timestamp()
    from deliveries d
    where d.id = a.delivery_id and a.outcome = 'started' and d.state <> 'sending'`.execute(db);
}

/** Each holds what is under way alone, so that looking for what was left open costs the same beside ten million ended ones. */
async function indexWhatIsOpen(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index deliveries_open on deliveries (gift_id)
      where state in ('pending', 'sending', 'deferred')`.execute(db);
  await sql`
    create index delivery_attempts_open on delivery_attempts (delivery_id) where outcome = 'started'`.execute(
    db,
  );
}

/** A worker that is still at it finds its delivery gone when it settles, as if another had taken over. */
async function endDeliveriesWithTheirGift(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function gifts_end_deliveries() returns trigger language plpgsql as $$
    begin
      update deliveries set state = case when new.state = 'failed' then 'failed' else 'suppressed' end,
        lease_until = null, state_changed_at = clock_timestamp()
      where gift_id = new.id and state in ('pending', 'sending', 'deferred');
      return null;
    end $$`.execute(db);
  await sql`
    create trigger gifts_end_deliveries after update of state on gifts for each row
      when (old.state is distinct from new.state
        and new.state in ('claimed', 'failed', 'rejected', 'cancelled', 'expired'))
      execute function gifts_end_deliveries()`.execute(db);
}

/** Not fired where a worker settles (sent, deferred): that statement closes its own attempt. */
async function endAttemptsWithTheirDelivery(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function deliveries_end_attempts() returns trigger language plpgsql as $$
    begin
      update delivery_attempts set outcome = case when new.state = 'pending' then 'interrupted' else 'superseded' end,
        finished_at = clock_timestamp()
      where delivery_id = new.id and outcome = 'started';
      return null;
    end $$`.execute(db);
  await sql`
    create trigger deliveries_end_attempts after update of state on deliveries for each row
      when (old.state = 'sending' and new.state in ('pending', 'suppressed', 'failed'))
      execute function deliveries_end_attempts()`.execute(db);
}
