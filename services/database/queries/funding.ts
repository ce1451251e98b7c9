import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import { briefly } from './briefly.ts';
import type { IdempotencyClaim } from './idempotency.ts';
import { freshFrom, type OnceOutcome, type OnceRow, onceOutcome, turnOf } from './once.ts';
import { type Page, type PageRequest, pageClauses, toPage } from './page.ts';
import { postedFrom } from './post-transfers.ts';

export type FundingAccountRow = {
  id: string;
  sender_id: string;
  currency: string;
  available_minor: number;
  reserved_minor: number;
  created_at: Date;
};

/** A sender's funding accounts with their balances. */
export async function listFundingAccountRows(
  db: Kysely<Database>,
  senderId: string,
  page: PageRequest,
): Promise<Page<FundingAccountRow>> {
  const { where, orderBy, limit } = pageClauses('f.id', page);
  const rows = await selectFundingAccounts(db)
    .where('f.sender_id', '=', senderId)
    .where(where)
    .orderBy(orderBy)
    .limit(limit)
    .execute();
  return toPage(rows, page);
}

/** Ids to use for whatever of this is missing. */
export type FundingAccountIds = {
  fundingAccountId: string;
  availableId: string;
  reservedId: string;
  worldId: string;
  outstandingId: string;
};

/** Makes sure that the sender has a funding account in this currency, with all ledger accounts behind it. */
export async function ensureFundingAccount(
  db: Kysely<Database>,
  account: { senderId: string; currency: string },
  ids: FundingAccountIds,
): Promise<{ id: string }> {
  const { senderId, currency } = account;
  await sql`
    insert into funding_accounts (id, sender_id, currency) values (${ids.fundingAccountId}, ${senderId}, ${currency})
    on conflict (sender_id, currency) do nothing`.execute(db);
  await sql`
    insert into ledger_accounts (id, kind, currency) values
      (${ids.worldId}, 'world', ${currency}), (${ids.outstandingId}, 'outstanding', ${currency})
    on conflict (currency, kind) where funding_account_id is null do nothing`.execute(db);
  await sql`
    insert into ledger_accounts (id, kind, funding_account_id, currency, balance_minor)
    select new.id, new.kind, f.id, f.currency, 0
    from funding_accounts f,
      (values (${ids.availableId}::uuid, 'available'), (${ids.reservedId}::uuid, 'reserved')) as new (id, kind)
    where f.sender_id = ${senderId} and f.currency = ${currency}
    on conflict (funding_account_id, kind) where funding_account_id is not null do nothing`.execute(db);
  return await db
    .selectFrom('funding_accounts')
    .select('id')
    .where('sender_id', '=', senderId)
    .where('currency', '=', currency)
    .executeTakeFirstOrThrow();
}

export type TopupInsert = {
  id: string;
  fundingAccountId: string;
  currency: string;
  amountMinor: number;
  reference: string | null;
  transferId: string;
  audit: { id: string; actorId: string | null; actorKind: 'api_key' | 'admin'; requestId: string | null };
  createdAt: Date;
};

/** A credited top-up, its transfer from the world and its audit record, in one statement with the key that asks for them. */
export async function insertCreditedTopup(
  db: Kysely<Database>,
  topup: TopupInsert,
  claim: IdempotencyClaim | null,
): Promise<OnceOutcome> {
  const { id, currency, amountMinor, transferId, createdAt, audit } = topup;
  const data = JSON.stringify({ kind: 'manual', topup_id: id, amount: amountMinor, currency });
  const { rows } = await sql<OnceRow>`
    with ${briefly}, ${turnOf(claim)}, mine as materialized (
      select 1 from turn, briefly where turn.got and briefly.bounded
    ), ${freshFrom(claim, sql`mine`)}, new_topup as (
      insert into topups (id, funding_account_id, currency, kind, state, amount_minor, reference, created_at)
      select ${id}::uuid, ${topup.fundingAccountId}::uuid, ${currency}, 'manual', 'credited', ${amountMinor}::bigint,
        ${topup.reference}, ${createdAt}::timestamptz from fresh
    ), moves as (
      select ${transferId}::uuid as id, 'topup' as kind, 'topup' as subject_kind, ${id}::uuid as subject_id,
        null::uuid as cause_id, ${topup.fundingAccountId}::uuid as funding_account_id, ${currency}::text as currency,
        ${amountMinor}::bigint as amount_minor
      from fresh
    ), ${postedFrom(sql`moves`)}, new_audit_record as (
      insert into audit_records (id, action, actor_kind, actor_id, subject_kind, subject_id, request_id, data, created_at)
      select ${audit.id}::uuid, 'funding.topped_up', ${audit.actorKind}, ${audit.actorId}::uuid, 'funding_account',
        ${topup.fundingAccountId}::uuid, ${audit.requestId}, ${data}::jsonb, ${createdAt}::timestamptz from fresh
    )
    select (select got from turn) as got, true as found, exists (select from fresh) as done`.execute(db);
  return onceOutcome(rows[0]);
}

function selectFundingAccounts(db: Kysely<Database>) {
  return db
    .selectFrom('funding_accounts as f')
    .innerJoin('ledger_account_balances as available', (join) =>
      join.onRef('available.funding_account_id', '=', 'f.id').on('available.kind', '=', 'available'),
    )
    .innerJoin('ledger_account_balances as reserved', (join) =>
      join.onRef('reserved.funding_account_id', '=', 'f.id').on('reserved.kind', '=', 'reserved'),
    )
    .select((eb) => [
      'f.id',
      'f.sender_id',
      'f.currency',
      'f.created_at',
      eb.ref('available.balance_minor').as('available_minor'),
      eb.ref('reserved.balance_minor').as('reserved_minor'),
    ]);
}
