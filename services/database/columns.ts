import type { ColumnType } from 'kysely';

/** A timestamptz: read as a Date, written as a Date or in RFC 3339. */
export type Timestamp = ColumnType<Date, Date | string, Date | string>;
/** Set by the database, never changed. */
export type CreatedAt = ColumnType<Date, Date | undefined, never>;
/** A json or jsonb column: read parsed, written as text. */
export type Json<T> = ColumnType<T, string, string>;
