import { type Kysely, sql } from 'kysely';
import type { Database } from '../../services/database/schema.ts';
import { toUuid } from '../../services/domain/ids.ts';
import type { FundedSender } from '../support/gifts.ts';

export const growingTables = [
  'recipients',
  'gifts',
  'vouchers',
  'deliveries',
  'delivery_attempts',
  'ledger_transfers',
  'ledger_entries',
  'audit_records',
];

/**
 * Adds the gifts number `from` to `to` of one long-lived sender: all claimed but for a hundred that are under way. Triggers
 * are off while rows are made (they are not what is measured), constraints and indexes are on.
 */
export async function growGifts(
  db: Kysely<Database>,
  sender: FundedSender,
  from: number,
  to: number,
): Promise<void> {
  const step = 250_000;
  for (let first = from; first < to; first += step) {
    const last = Math.min(to, first + step) - 1;
    await db.transaction().execute(async (trx) => {
      await sql`set local session_replication_role = replica`.execute(trx);
      await insertRange(trx, toUuid(sender.senderId), first, last);
    });
    process.stderr.write(`  ${last + 1} gifts\r`);
  }
  // The reservations above went past the triggers that keep the running balances.
  await sql`update ledger_accounts set balance_minor = 1000000000000 where balance_minor is not null`.execute(
    db,
  );
  for (const table of growingTables) await sql`vacuum analyze ${sql.table(table)}`.execute(db);
}

async function insertRange(db: Kysely<Database>, sender: string, first: number, last: number): Promise<void> {
  const numbers = sql`generate_series(${first}::bigint, ${last}::bigint) as n`;
  // Ids grow with time as UUIDv7 ids do.
  const id = (kind: number) =>
    sql`('00000000-0000-7000-8000-' || lpad(to_hex(n * 16 + ${kind}), 12, '0'))::uuid`;
  const ended = sql`(n >= 1000 or n % 10 <> 0)`;
  await sql`insert into recipients (id, kind, blind_index, masked, sealed, wrapped_key, keyring_key_id)
    select ${id(1)}, 'email', sha256(n::text::bytea), 'a•••@e•••.com', sha256(n::text::bytea), sha256(n::text::bytea), 'k'
    from ${numbers}`.execute(db);
  await sql`insert into gifts (id, sender_id, funding_account_id, recipient_id, channel, state, amount_minor, currency,
      binding, external_id, expires_at, created_at, state_changed_at)
    select ${id(0)}, ${sender}, f.id, ${id(1)}, 'email', case when ${ended} then 'claimed' else 'queued' end, 2500, 'EUR',
      'bearer', 'order-' || n, now() + interval '1 year', now() - interval '1 minute', now() - interval '1 minute'
    from ${numbers}, funding_accounts f where f.sender_id = ${sender}`.execute(db);
  await sql`insert into vouchers (id, gift_id, amount_minor, balance_minor, currency, code_salt, code_hash)
    select ${id(2)}, ${id(0)}, 2500, 2500, 'EUR', substr(sha256(n::text::bytea), 1, 16), sha256(n::text::bytea)
    from ${numbers} where ${ended}`.execute(db);
  await sql`insert into deliveries (id, gift_id, purpose, channel, state, attempts, state_changed_at)
    select ${id(3)}, ${id(0)}, 'gift', 'email', 'sent', 1, now() from ${numbers} where ${ended}`.execute(db);
  await sql`insert into delivery_attempts (id, delivery_id, number, outcome, started_at)
    select ${id(4)}, ${id(3)}, 1, 'sent', now() from ${numbers} where ${ended}`.execute(db);
  await sql`insert into ledger_transfers (id, kind, gift_id) select ${id(5)}, 'reserve', ${id(0)} from ${numbers}`.execute(
    db,
  );
  await sql`insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
    select ${id(5)}, a.id, 'EUR', case a.kind when 'available' then -2500 else 2500 end
    from ${numbers}, ledger_accounts a where a.funding_account_id is not null`.execute(db);
  await sql`insert into audit_records (id, action, actor_kind, subject_kind, subject_id, created_at)
    select ${id(6)}, 'gift.accepted', 'api_key', 'gift', ${id(0)}, now() from ${numbers}`.execute(db);
}
