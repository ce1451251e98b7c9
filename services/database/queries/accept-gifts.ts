import { type Kysely, type RawBuilder, sql } from 'kysely';
import { databaseFault } from '../errors.ts';
import type { Database } from '../schema.ts';
import type { Binding, Channel, GiftState } from '../states.ts';
import { postedNow } from './post-transfers.ts';

/** One gift to insert with all that belongs to it. Bytes are base64: the whole set travels as one JSON parameter. */
export type GiftInsert = {
  id: string;
  sender_id: string;
  currency: string;
  amount_minor: number;
  channel: Channel;
  state: GiftState;
  binding: Binding;
  deliver_at: string | null;
  expires_at: string | null;
  /** when it may be accepted, by the database's clock; null is any time */
  from: string | null;
  until: string | null;
  external_id: string | null;
  metadata: Record<string, string>;
  request_id: string | null;
  recipient_id: string;
  recipient_blind_index: string;
  recipient_masked: string;
  recipient_sealed: string;
  recipient_wrapped_key: string;
  recipient_keyring_key_id: string;
  transfer_id: string;
  audit_id: string;
  actor_id: string | null;
  audit_data: Record<string, unknown>;
  /** null: a scheduled gift has no message yet */
  outbox_queue: string | null;
  outbox_body: string | null;
  outbox_group_id: string | null;
  outbox_trace_header: string | null;
} & (KeyInsert | { [none in keyof KeyInsert]: null });

/** The idempotency key to claim with a gift, and the answer to keep; the gift is inserted only if the key is fresh. */
export type KeyInsert = {
  scope_id: string;
  key: string;
  fingerprint: string;
  status: number;
  /** JSON, but for the moment of the accept, which only the database knows: it takes the place of the mark */
  answer: string;
  mark: string;
  location: string | null;
};

/**
 * What became of one gift. Outcomes are those of `decide_accepts` in the migrations, and `refused`, by the constraint or
 * type that would not have this very row.
 */
export type InsertedGift = {
  id: string;
  outcome:
    | 'accepted'
    | 'running'
    | 'taken'
    | 'unfunded'
    | 'untimely'
    | 'busy'
    | 'external_id_taken'
    | 'insufficient'
    | 'refused';
  /** by the database's clock, to the millisecond */
  decided_at: string;
  outbox_id: string | null;
  /** the gift that has the key in this very set, or the external_id */
  other_id: string | null;
  /** the answer that the key has; the fingerprint is base64 */
  earlier: { fingerprint: string; status: number; body: unknown; location: string | null } | null;
  sqlstate?: string;
  refused_by?: string | null;
};

export type InsertOptions = {
  /** how long the calling process has to publish the rows before others may */
  outboxLeaseSeconds: number;
  /** how long the statement may wait for whoever holds a balance, a key or a row */
  lockWaitMs: number;
};

/**
 * Inserts gifts, recipients, reservations, audit records, outbox rows and the keys that they claim in one statement,
 * so that an accept costs one round trip however many gifts it has, and no lock is held while anything travels. What
 * is not accepted leaves nothing behind, and is an outcome of its own. A twin that still runs is not waited for.
 *
 * A row that the database would not have refuses the statement: it is run once more, in ever smaller halves on the server.
 *
 * @param db in no transaction: each of the two statements is one
 * @throws the database's error where it is about no row, such as 55P03 for a lock that was waited for too long
 */
export async function insertAcceptedGifts(
  db: Kysely<Database>,
  gifts: readonly GiftInsert[],
  options: InsertOptions,
): Promise<InsertedGift[]> {
  const statement = insertion(JSON.stringify(gifts), JSON.stringify(options));
  try {
    return (await statement.execute(db)).rows;
  } catch (error) {
    if (!['row', 'suspect'].includes(databaseFault(error))) throw error;
    const { sql: text, parameters } = statement.compile(db);
    const isolated = sql<{ row: InsertedGift }>`
      select row from run_isolated(${text}, ${parameters[0]}::json, ${parameters[1]}::json) as row`;
    return (await isolated.execute(db)).rows.map(({ row }) => row);
  }
}

export type DryGift = Pick<InsertedGift, 'outcome' | 'decided_at' | 'other_id'> & {
  funding_account_id: string | null;
  /** before the gift */
  available_minor: number | null;
};

/** What would become of a gift; nothing is written, and no lock outlives the statement. */
export async function decideAccept(
  db: Kysely<Database>,
  gift: GiftInsert,
  lockWaitMs: number,
): Promise<DryGift> {
  const { rows } = await sql<DryGift>`
    with asked as (${asked(sql`${JSON.stringify([gift])}::json`)})
    select outcome, other_id, funding_account_id, available_minor, ${moment} as decided_at
    from ${decisions(sql`${lockWaitMs}::integer`)}`.execute(db);
  const [decided] = rows;
  if (!decided) throw new Error('the database decided nothing');
  return decided;
}

/** As JavaScript writes it, so that the stored answer has the very bytes of the first. */
const moment = sql`to_char(decided_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Flat: picking a field out of a nested one costs each row more than the field. */
const asked = (gifts: RawBuilder<unknown>) => sql`
      select * from rows from (json_to_recordset(${gifts}) as (
        id uuid, sender_id uuid, currency text, amount_minor bigint, channel text, state text, binding text,
        deliver_at timestamptz, expires_at timestamptz, "from" timestamptz, until timestamptz, external_id text,
        metadata jsonb, request_id text, recipient_id uuid, recipient_blind_index text, recipient_masked text,
        recipient_sealed text, recipient_wrapped_key text, recipient_keyring_key_id text, transfer_id uuid, audit_id uuid,
        actor_id uuid, audit_data jsonb, outbox_queue text, outbox_body text, outbox_group_id text,
        outbox_trace_header text, scope_id uuid, key text, fingerprint text, status integer, answer text, mark text,
        location text)) with ordinality as gift (
        id, sender_id, currency, amount_minor, channel, state, binding, deliver_at, expires_at, "from", until,
        external_id, metadata, request_id, recipient_id, recipient_blind_index, recipient_masked, recipient_sealed,
        recipient_wrapped_key, recipient_keyring_key_id, transfer_id, audit_id, actor_id, audit_data, outbox_queue,
        outbox_body, outbox_group_id, outbox_trace_header, scope_id, key, fingerprint, status, answer, mark, location,
        place)`;

const decisions = (lockWaitMs: RawBuilder<unknown>) => sql`(
        select array_agg(id order by place) as ids, array_agg(sender_id order by place) as sender_ids,
          array_agg(currency order by place) as currencies, array_agg(amount_minor order by place) as amounts,
          array_agg(external_id order by place) as external_ids, array_agg("from" order by place) as froms,
          array_agg(until order by place) as untils, array_agg(scope_id order by place) as scope_ids,
          array_agg(key order by place) as keys
        from asked) arrays, decide_accepts(ids, sender_ids, currencies, amounts, external_ids, froms, untils, scope_ids,
        keys, ${lockWaitMs}) d`;

/** Times are the database's: what was accepted later is later in every list, whatever the clocks of the processes say. */
const insertion = (rows: string, options: string) => sql<InsertedGift>`
    with argument as materialized (
      select ${rows}::json as gifts, ${options}::json as options
    ), asked as materialized (${asked(sql`(select gifts from argument)`)}
    ), decided as materialized (
      select d.* from ${decisions(sql`(select (options ->> 'lockWaitMs')::integer from argument)`)}
    ), accepted as materialized (
      select asked.*, d.funding_account_id, d.available_id, d.reserved_id, d.decided_at
      from decided d join asked on asked.id = d.id where d.outcome = 'accepted'
    ), new_keys as (
      insert into idempotency_keys (scope_id, key, fingerprint, status, body, location, created_at)
      select scope_id, key, decode(fingerprint, 'base64'), status, replace(answer, mark, ${moment})::json, location,
        decided_at
      from accepted where key is not null
    ), new_recipients as (
      insert into recipients (id, kind, blind_index, masked, sealed, wrapped_key, keyring_key_id, created_at)
      select recipient_id, channel, decode(recipient_blind_index, 'base64'), recipient_masked,
        decode(recipient_sealed, 'base64'), decode(recipient_wrapped_key, 'base64'), recipient_keyring_key_id, decided_at
      from accepted
    ), new_gifts as (
      insert into gifts (id, sender_id, funding_account_id, recipient_id, channel, state, amount_minor, currency,
        binding, deliver_at, expires_at, external_id, metadata, request_id, created_at, state_changed_at)
      select id, sender_id, funding_account_id, recipient_id, channel, state, amount_minor, currency,
        binding, deliver_at, expires_at, external_id, metadata, request_id, decided_at, decided_at
      from accepted
    ), new_audit_records as (
      insert into audit_records (id, action, actor_kind, actor_id, subject_kind, subject_id, request_id, data, created_at)
      select audit_id, 'gift.accepted', 'api_key', actor_id, 'gift', id, request_id, audit_data, decided_at
      from accepted
    ), new_outbox as (
      insert into outbox (queue, body, group_id, trace_header, created_at, available_at)
      select outbox_queue, outbox_body, outbox_group_id, outbox_trace_header, decided_at,
        clock_timestamp() + make_interval(secs => (options ->> 'outboxLeaseSeconds')::integer)
      from accepted, argument where outbox_body is not null
      returning id, body
    ), new_transfers as (
      insert into ledger_transfers (id, kind, gift_id, created_at, posted_at)
      select transfer_id, 'reserve', id, decided_at, ${postedNow} from accepted
    ), new_entries as (
      insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
      select transfer_id, available_id, currency, -amount_minor from accepted
      union all
      select transfer_id, reserved_id, currency, amount_minor from accepted
    )
    select decided.id, outcome, other_id, earlier, new_outbox.id::text as outbox_id, at as decided_at
    from (select *, ${moment} as at from decided) decided
    left join accepted on accepted.id = decided.id
    left join new_outbox on new_outbox.body = accepted.outbox_body`;
