import { fromUUID, toUUIDBytes } from 'typeid-js';
import { monotonicUuids } from './monotonic-uuid.ts';

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

const nextUuid = monotonicUuids();

/** A new id, later in order than every id made before it by this process, also when its clock was set back. */
export function newId<P extends Prefix>(prefix: P): Id<P> {
  return fromUuid(prefix, nextUuid());
}

/** A time-ordered UUIDv7 for rows that have no public id. */
export function newUuid(): string {
  return nextUuid();
}

/** No UUIDv7 that is made at this time or later sorts before it. */
export function firstUuidAt(timeMs: number): string {
  const hex = Math.max(0, timeMs).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

/**
 * The id as the database keeps it. Of every id there is one, and not of time-ordered ones alone, to which the library
 * would limit it: what a caller asks for need not exist. @throws Error when the text is no id
 */
export function toUuid(id: Id<Prefix>): string {
  const hex = Buffer.from(toUUIDBytes(id as never)).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Those of the texts that are ids, whatever they name. */
export function uuidsOf(texts: readonly string[]): string[] {
  return texts.flatMap((text) => (wholeSuffix.test(text.slice(4)) ? [toUuid(text as Id<Prefix>)] : []));
}

export function fromUuid<P extends Prefix>(prefix: P, uuid: string): Id<P> {
  return fromUUID(uuid, prefix) as unknown as Id<P>;
}

/** The first of 26 characters holds only three bits: above 7 it would be a number beyond 128 bits. */
const suffix = '[0-7][0-9a-hjkmnp-tv-z]{25}';
const wholeSuffix = new RegExp(`^${suffix}$`);

export function isId<P extends Prefix>(prefix: P, text: string): text is Id<P> {
  return text.startsWith(`${prefix}_`) && wholeSuffix.test(text.slice(prefix.length + 1));
}

/** The same as a regular expression, for documents. */
export function idPattern(prefix: Prefix): string {
  return `^${prefix}_${suffix}$`;
}
