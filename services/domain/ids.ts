import { fromUUID, parseTypeId, toUUID, typeidUnboxed } from 'typeid-js';

export type Prefix =
  | 'sen'
  | 'key'
  | 'fac'
  | 'top'
  | 'gft'
  | 'vch'
  | 'dlv'
  | 'dat'
  | 'clm'
  | 'ddl'
  | 'aud'
  | 'evt';

/** A public id: prefix, underscore, time-ordered UUIDv7 in lower-case Crockford base32 (the TypeID format). */
export type Id<P extends Prefix> = `${P}_${string}`;

export type SenderId = Id<'sen'>;
export type ApiKeyId = Id<'key'>;
export type FundingAccountId = Id<'fac'>;
export type TopupId = Id<'top'>;
export type GiftId = Id<'gft'>;
export type VoucherId = Id<'vch'>;
export type DeliveryId = Id<'dlv'>;
export type ClaimId = Id<'clm'>;
export type DeadLetterId = Id<'ddl'>;

/** A new id, later in order than every id made before it on this machine. */
export function newId<P extends Prefix>(prefix: P): Id<P> {
  return typeidUnboxed(prefix) as unknown as Id<P>;
}

/** A time-ordered UUIDv7 for rows that have no public id. */
export function newUuid(): string {
  return toUUID(typeidUnboxed());
}

/** The id as the database keeps it. @throws Error when the text is no id */
export function toUuid(id: Id<Prefix>): string {
  return toUUID(id as never);
}

export function fromUuid<P extends Prefix>(prefix: P, uuid: string): Id<P> {
  return fromUUID(uuid, prefix) as unknown as Id<P>;
}

export function isId<P extends Prefix>(prefix: P, text: string): text is Id<P> {
  if (!text.startsWith(`${prefix}_`)) return false;
  try {
    return parseTypeId(text as never).prefix === prefix && toUUID(text as never).length === 36;
  } catch {
    return false;
  }
}
