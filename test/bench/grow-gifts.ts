import { type Kysely, sql } from 'kysely';
import type { Database } from '../../services/database/schema.ts';
import { fromUuid, type GiftId, toUuid } from '../../services/domain/ids.ts';
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
  'claims',
  'idempotency_keys',
  'dead_letters',
  'senders',
  'api_keys',
  'budgets',
  'ledger_accounts',
  'ledger_balances',
  'reconciler_runs',
];

/**
 * Adds the gifts number `from` to `to` of one long-lived sender: of the first thousand a hundred are queued (0, 10, …) and
 * a hundred delivered (1, 11, …). Of all others one in eight is scheduled for next year and one in eight delivered and not
 * claimed, so that a look for what is due has much to pass by; the rest is claimed. Each has its idempotency key; one in ten has a
 * dead letter that was redriven, and brings another sender with a funding account and a client with a budget; one in eight a run
 * of the reconciler. Triggers are off while rows are made (they are not
 * what is measured), constraints and indexes are on.
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
      await insertGifts(trx, toUuid(sender.senderId), first, last);
      await insertTraces(trx, toUuid(sender.senderId), first, last);
    });
    process.stderr.write(`  ${last + 1} gifts\r`);
  }
  // The reservations above went past the triggers that keep the running balances.
  await sql`insert into ledger_balances (account_id, seq, balance_minor, folded_at)
    select a.id, 1000000000, 1000000000000, now() from ledger_account_balances a
    join funding_accounts f on f.id = a.funding_account_id and f.sender_id = ${toUuid(sender.senderId)}
    on conflict do nothing`.execute(db);
  for (const table of growingTables) await sql`vacuum analyze ${sql.table(table)}`.execute(db);
}

/** The gift number `n`. */
export function grownGift(n: number): GiftId {
  return fromUuid('gft', `00000000-0000-7000-8000-${(n * 16).toString(16).padStart(12, '0')}`);
}

// Ids grow with time as UUIDv7 ids do.
const id = (kind: number) =>
  sql`('00000000-0000-7000-8000-' || lpad(to_hex(n * 16 + ${sql.lit(kind)}), 12, '0'))::uuid`;
const series = (first: number, last: number) => sql`generate_series(${first}::bigint, ${last}::bigint) as n`;
const scheduled = sql`(n >= 1000 and n % 8 = 0)`;
const issued = sql`(case when n < 1000 then n % 10 <> 0 else n % 8 <> 0 end)`;
const claimed = sql`(case when n < 1000 then n % 10 > 1 else n % 4 <> 0 end)`;

async function insertGifts(db: Kysely<Database>, sender: string, first: number, last: number): Promise<void> {
  const numbers = series(first, last);
  await sql`insert into recipients (id, kind, blind_index, masked, sealed, wrapped_key, keyring_key_id)
    select ${id(1)}, 'email', sha256(n::text::bytea), 'a•••@e•••.com', sha256(n::text::bytea), sha256(n::text::bytea), 'k'
    from ${numbers}`.execute(db);
  await sql`insert into gifts (id, sender_id, funding_account_id, recipient_id, channel, state, amount_minor, currency,
      binding, external_id, expires_at, created_at, state_changed_at, deliver_at)
    select ${id(0)}, ${sender}, f.id, ${id(1)}, 'email',
      case when ${claimed} then 'claimed' when ${scheduled} then 'scheduled' when ${issued} then 'delivered' else 'queued' end,
      2500, 'EUR', 'bearer', 'order-' || n, now() + interval '2 years', now() - interval '1 minute', now() - interval '1 minute',
      case when ${scheduled} then now() + interval '1 year' end
    from ${numbers}, funding_accounts f where f.sender_id = ${sender}`.execute(db);
  await sql`insert into vouchers (id, gift_id, amount_minor, balance_minor, currency, code_salt, code_hash)
    select ${id(2)}, ${id(0)}, 2500, 2500, 'EUR', substr(sha256(n::text::bytea), 1, 16), sha256(n::text::bytea)
    from ${numbers} where ${issued}`.execute(db);
  await sql`insert into deliveries (id, gift_id, purpose, channel, state, attempts, state_changed_at)
    select ${id(3)}, ${id(0)}, 'gift', 'email', 'sent', 1, now() from ${numbers} where ${issued}`.execute(db);
  await sql`insert into delivery_attempts (id, delivery_id, number, outcome, started_at)
    select ${id(4)}, ${id(3)}, 1, 'sent', now() from ${numbers} where ${issued}`.execute(db);
  await sql`insert into ledger_transfers (id, kind, gift_id) select ${id(5)}, 'reserve', ${id(0)} from ${numbers}`.execute(
    db,
  );
  await sql`insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
    select ${id(5)}, a.id, 'EUR', case a.kind when 'available' then -2500 else 2500 end
    from ${numbers}, ledger_accounts a join funding_accounts f on f.id = a.funding_account_id
    where f.sender_id = ${sender}`.execute(db);
  await sql`insert into audit_records (id, action, actor_kind, subject_kind, subject_id, created_at)
    select ${id(6)}, 'gift.accepted', 'api_key', 'gift', ${id(0)}, now() from ${numbers}`.execute(db);
}

/** What else is kept of each of these gifts, and who comes with them. */
async function insertTraces(
  db: Kysely<Database>,
  sender: string,
  first: number,
  last: number,
): Promise<void> {
  const numbers = series(first, last);
  await sql`insert into claims (id, gift_id, voucher_id, binding, idempotency_key)
    select ${id(7)}, ${id(0)}, ${id(2)}, 'bearer', md5(n::text) from ${numbers} where ${claimed}`.execute(db);
  await sql`insert into idempotency_keys (scope_id, key, fingerprint, status, body, created_at)
    select ${sender}, md5(n::text), sha256(n::text::bytea), 202, json_build_object('id', ${id(0)}),
      now() - make_interval(days => case when n < 200 then 31 else 1 end) from ${numbers}`.execute(db);
  await sql`insert into dead_letters (id, queue, message_id, message_key, gift_id, class, reason, receive_count, sent_at,
      verdict, rule, run_id, applied_at)
    select ${id(8)}, 'gifts', 'message-' || n, 'gift.deliver:' || n, ${id(0)}, 'transient', 'mail_unreachable', 5, now(),
      'redrive', 'transient', ${id(8)}, now() - make_interval(days => case when n < 1000 then 0 else 30 end)
    from ${numbers} where n % 10 = 0`.execute(db);
  await sql`insert into senders (id, name) select ${id(9)}, 'sender ' || n from ${numbers} where n % 10 = 0`.execute(
    db,
  );
  await sql`insert into funding_accounts (id, sender_id, currency) select ${id(11)}, ${id(9)}, 'EUR' from ${numbers}
    where n % 10 = 0`.execute(db);
  for (const [kind, account] of [
    ['available', id(12)],
    ['reserved', id(13)],
  ] as const) {
    await sql`insert into ledger_accounts (id, kind, funding_account_id, currency, balance_minor)
      select ${account}, ${kind}, ${id(11)}, 'EUR', 0 from ${numbers} where n % 10 = 0`.execute(db);
    await sql`insert into ledger_balances (account_id, seq, balance_minor, folded_at)
      select ${account}, 1, 0, now() from ${numbers} where n % 10 = 0`.execute(db);
  }
  await sql`insert into reconciler_runs (id, queue, dry_run, outcome, counts, started_at, finished_at)
    select ${id(14)}, 'gifts', false, 'converged', '{"scanned": 0}', at, at
    from ${numbers}, lateral (select now() - make_interval(mins => n::int) as at) run where n % 8 = 0`.execute(
    db,
  );
  await sql`insert into api_keys (id, sender_id, name, prefix, secret_hash, roles)
    select ${id(10)}, ${id(9)}, 'key', 'lgk_' || n, sha256(n::text::bytea), '{sender}' from ${numbers}
    where n % 10 = 0`.execute(db);
  await sql`insert into budgets (key, seq, points, expire, quota, slot_ms, slot, oldest_slot, counts)
    select 'ip:' || n, 1, 1, (extract(epoch from now()) * 1000)::bigint + case when n < 1000 then -1 else 86400000 end,
      60, 1000, 0, 0, '{1}' from ${numbers} where n % 10 = 0`.execute(db);
}
