import { type Kysely, sql } from 'kysely';
import type { Database } from '../schema.ts';
import type { Role } from '../states.ts';
import { type Page, type PageRequest, pageClauses, toPage } from './page.ts';

export type ApiKeyRow = {
  id: string;
  sender_id: string;
  prefix: string;
  lookup_version: number;
  roles: Role[];
  scopes: string[] | null;
  /** when it ends, by `performance.now()`: what is left, the database has told by the clock that ends are set by; null is never */
  ends_at_ms: number | null;
  revoked_at: Date | null;
  sender_status: 'active' | 'suspended';
};

/** The key with this keyed hash and its sender's status: one index probe each. */
export async function findApiKey(db: Kysely<Database>, secretHash: Buffer): Promise<ApiKeyRow | undefined> {
  const askedAtMs = performance.now();
  const found = await db
    .selectFrom('api_keys')
    .innerJoin('senders', 'senders.id', 'api_keys.sender_id')
    .select([
      'api_keys.id',
      'api_keys.sender_id',
      'api_keys.prefix',
      'api_keys.lookup_version',
      'api_keys.roles',
      'api_keys.scopes',
      sql<number | null>`(extract(epoch from expires_at - clock_timestamp()) * 1000)::float8`.as('left_ms'),
      'api_keys.revoked_at',
      'senders.status as sender_status',
    ])
    .where('api_keys.secret_hash', '=', secretHash)
    .executeTakeFirst();
  if (!found) return undefined;
  const { left_ms: leftMs, ...key } = found;
  return { ...key, ends_at_ms: leftMs === null ? null : askedAtMs + leftMs };
}

export type ListedKeyRow = Omit<ApiKeyRow, 'sender_status' | 'ends_at_ms'> & {
  name: string;
  expires_at: Date | null;
  created_at: Date;
  status: 'active' | 'expired' | 'revoked';
};

/** Newest first. Whether one has expired is told by the database's clock. */
export async function listApiKeyRows(
  db: Kysely<Database>,
  filter: { senderId: string | null },
  page: PageRequest,
): Promise<Page<ListedKeyRow>> {
  const { where, orderBy, limit } = pageClauses('api_keys.id', page);
  const ofSender = filter.senderId === null ? sql`true` : sql`sender_id = ${filter.senderId}::uuid`;
  const { rows } = await sql<ListedKeyRow>`
    select id, sender_id, prefix, name, lookup_version, roles, scopes, expires_at, revoked_at, created_at,
      case when revoked_at is not null then 'revoked'
        when expires_at <= clock_timestamp() then 'expired' else 'active' end as status
    from api_keys where ${where} and ${ofSender} order by ${orderBy} limit ${limit}`.execute(db);
  return toPage(rows, page);
}

export type ApiKeyInsert = Pick<
  ListedKeyRow,
  'id' | 'sender_id' | 'name' | 'prefix' | 'roles' | 'scopes' | 'expires_at' | 'lookup_version'
> & { secret_hash: Buffer; auditId: string };

/** The key and the record of it, in one statement. */
export async function insertApiKey(db: Kysely<Database>, key: ApiKeyInsert): Promise<void> {
  await sql`
    with made as (
      insert into api_keys (id, sender_id, name, prefix, secret_hash, lookup_version, roles, scopes, expires_at)
      values (${key.id}, ${key.sender_id}, ${key.name}, ${key.prefix}, ${key.secret_hash}, ${key.lookup_version},
        ${key.roles}, ${key.scopes}, ${key.expires_at})
    )
    insert into audit_records (id, action, actor_kind, subject_kind, subject_id, data, created_at)
    values (${key.auditId}, 'api_key.created', 'admin', 'api_key', ${key.id},
      jsonb_build_object('prefix', ${key.prefix}::text, 'sender_id', ${key.sender_id}::text,
        'roles', to_jsonb(${key.roles}::text[])), clock_timestamp())`.execute(db);
}

export type KeyRotation = {
  prefix: string;
  graceSeconds: number;
  successor: { id: string; prefix: string; secret_hash: Buffer; lookup_version: number };
  auditIds: [string, string];
};

/**
 * A new key for the same sender, with the same name, roles, scopes and end; the old one ends after the grace period, or when
 * it would have ended anyway. One statement: there is no moment without a key, and none with a third.
 * @returns when the old key ends; undefined when there is no such key, or it is no longer in use
 */
export async function rotateApiKeyRow(
  db: Kysely<Database>,
  { prefix, graceSeconds, successor, auditIds }: KeyRotation,
): Promise<{ sender_id: string; old_expires_at: Date } | undefined> {
  const { rows } = await sql<{ sender_id: string; old_expires_at: Date }>`
    with old as materialized (
      select * from api_keys
      where prefix = ${prefix} and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())
      for update
    ), ended as (
      update api_keys k
      set expires_at = least(k.expires_at, clock_timestamp() + make_interval(secs => ${graceSeconds}::double precision))
      from old where k.id = old.id returning k.expires_at
    ), made as (
      insert into api_keys (id, sender_id, name, prefix, secret_hash, lookup_version, roles, scopes, expires_at)
      select ${successor.id}, sender_id, name, ${successor.prefix}, ${successor.secret_hash}::bytea,
        ${successor.lookup_version}::smallint, roles, scopes, expires_at
      from old
    ), new_audit_records as (
      insert into audit_records (id, action, actor_kind, subject_kind, subject_id, data, created_at)
      select ${auditIds[0]}::uuid, 'api_key.rotated', 'admin', 'api_key', old.id,
        jsonb_build_object('successor', ${successor.prefix}::text), clock_timestamp() from old
      union all
      select ${auditIds[1]}::uuid, 'api_key.created', 'admin', 'api_key', ${successor.id}::uuid,
        jsonb_build_object('prefix', ${successor.prefix}::text, 'replaces', old.prefix), clock_timestamp() from old
    )
    select old.sender_id, ended.expires_at as old_expires_at from old, ended`.execute(db);
  return rows[0];
}

/** Puts a key's hash under a newer version of the lookup key; a process that knows more has the last word. */
export async function setApiKeyHash(
  db: Kysely<Database>,
  key: { id: string; secretHash: Buffer; lookupVersion: number },
): Promise<void> {
  await db
    .updateTable('api_keys')
    .set({ secret_hash: key.secretHash, lookup_version: key.lookupVersion })
    .where('id', '=', key.id)
    .where('lookup_version', '<', key.lookupVersion)
    .execute();
}

/** Keeps the time of the first revocation. @returns that time; undefined when no key has the prefix */
export async function setApiKeyRevoked(
  db: Kysely<Database>,
  prefix: string,
  auditId: string,
): Promise<Date | undefined> {
  const { rows } = await sql<{ revoked_at: Date }>`
    with old as materialized (
      select id, revoked_at, coalesce(revoked_at, clock_timestamp()) as ends from api_keys
      where prefix = ${prefix} for update
    ), revoked as (
      update api_keys k set revoked_at = old.ends from old where k.id = old.id and old.revoked_at is null
    ), new_audit_record as (
      insert into audit_records (id, action, actor_kind, subject_kind, subject_id, created_at)
      select ${auditId}, 'api_key.revoked', 'admin', 'api_key', id, ends from old where revoked_at is null
    )
    select ends as revoked_at from old`.execute(db);
  return rows[0]?.revoked_at;
}
