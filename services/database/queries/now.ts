import { sql } from 'kysely';

/**
 * This moment by the clock of the database, fixed before a row is looked at. `clock_timestamp()` itself may differ from row to
 * row, so that no index can be entered by it: a look for what is due reads all that is not due yet. With 300,000
 * gifts whose end is a year away that took 260 ms every five seconds, in each process.
 */
export const now = sql<Date>`(select clock_timestamp())`;
