import pg from 'pg';

/**
 * What an error says of trying again:
 * - `row`: the data of this very statement is refused, and always will be
 * - `suspect`: a row may be to blame, which only trying it alone can tell
 * - `busy`: somebody else was in the way, nothing was done, and the next moment may do
 * - `session`: this connection will fail again, whatever it is asked; another may not
 * - `away`: the database can't do it now; the unlisted belongs here, so that it is waited for and not given up
 * - `foreign`: no word of a database
 */
export type DatabaseFault = 'row' | 'suspect' | 'busy' | 'session' | 'away' | 'foreign';

export function databaseFault(error: unknown): DatabaseFault {
  if (error instanceof pg.DatabaseError) return faultOfState(error);
  if (typeof error !== 'object' || error === null) return 'foreign';
  // A value that can't be read is one row's, whoever carried it.
  if (error instanceof RangeError || error instanceof TypeError) return 'foreign';
  if (driverErrors.has(error)) return 'session';
  const { code, message } = error as Partial<NodeJS.ErrnoException>;
  const isOfConnection = networkCode.test(String(code)) || driverMessage.test(message ?? '');
  return isOfConnection ? 'session' : 'foreign';
}

/** Whether the same statement may well succeed when tried again: everything of the database but a refusal of its data. */
export function isTransientDatabaseError(error: unknown): boolean {
  return transient.has(databaseFault(error));
}

/** Whether one row of several may be to blame, refused or held by somebody, so that the others are worth trying without it. */
export function mayBlameRow(error: unknown): boolean {
  return isBusy(error) || !isTransientDatabaseError(error) || isUnexplained(error);
}

/** A damaged value ("invalid memory alloc request size") and a pooler without a server say the same XX000. */
function isUnexplained(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === 'XX000';
}

/** Whether the server refused this very row and always will. Anything less is no proof. */
export function isProvenRefusal(error: unknown): boolean {
  return databaseFault(error) === 'row';
}

/** Whether nothing was done because a lock, a time-out or another transaction was in the way. */
export function isBusy(error: unknown): boolean {
  return databaseFault(error) === 'busy';
}

/** The name of the constraint that refused a statement, or undefined when the error is something else. */
export function violatedConstraint(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.constraint : undefined;
}

/** The driver throws much that has no code: what came out of it is remembered, so that no list of its words decides. */
export function rememberDriverError(error: unknown): void {
  if (error instanceof Error && !(error instanceof pg.DatabaseError)) driverErrors.add(error);
}

/** A plan that no longer fits the table: the routine and not the message, which is in the server's language. */
export function isStalePlan({ code, routine }: pg.DatabaseError): boolean {
  return code === '0A000' && routine === 'RevalidateCachedQuery';
}

/** Whether a pooler has lost a prepared statement, or given it to somebody else as well. */
export function losesPrepared({ code }: pg.DatabaseError): boolean {
  return code === '26000' || code === '42P05';
}

/** Whether the session that told it is of no use any more, whatever it is asked. */
export function endsSession(error: unknown): boolean {
  if (databaseFault(error) !== 'session') return false;
  // A transaction in the wrong state ends with the transaction: 25001, 25P01, 25P02, …
  return !(error instanceof pg.DatabaseError) || !/^25(?!006|P03|P04)/.test(error.code ?? '');
}

/**
 * Whether another session may see it otherwise: a role's or a database's settings (search_path, role, rights) are those of when a
 * session began, a pooler may lend one that somebody has changed, and one that has run out of memory has it to itself.
 */
export function isOfSession(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(3F|42(?!P05)|53200|XX000)/.test(error.code ?? '');
}

/** Whether a statement that stood alone was refused for a reason that another session may not have: then nothing was done. */
export function isWorthAnotherSession(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError &&
    (error.code === '25006' || isStalePlan(error) || losesPrepared(error) || isOfSession(error))
  );
}

const driverErrors = new WeakSet<object>();
const transient: ReadonlySet<DatabaseFault> = new Set(['busy', 'session', 'away']);

function faultOfState(error: pg.DatabaseError): DatabaseFault {
  if (isStalePlan(error)) return 'session';
  const state = error.code ?? '';
  return states.find(({ is }) => is(state, error))?.fault ?? 'away';
}

/** First match wins. By class where a class has one meaning (PostgreSQL's appendix A). */
const states: { is: (state: string, error: pg.DatabaseError) => boolean; fault: DatabaseFault }[] = [
  // A table without the partition of the month refuses with 23514 too, and names no constraint: that is not the row's fault.
  { is: (state, { constraint }) => state.startsWith('23') && constraint !== undefined, fault: 'row' },
  // The month of a row was made while the row was on its way to the default partition: the next try is led to the month.
  { is: (_state, { routine }) => routine === 'ExecPartitionCheckEmitError', fault: 'busy' },
  // 2200H: a sequence is used up, for everybody.
  { is: (state) => state.startsWith('22') && state !== '2200H', fault: 'row' },
  // A trigger's own words, a limit that one value exceeds, a damaged page, a cardinality, a view's check.
  { is: (state) => /^(23|21|27|38|39|44|54|P0|XX001|XX002)/.test(state), fault: 'suspect' },
  // Deadlock, serialization, lock, and statements that were cancelled because they took too long.
  { is: (state) => /^(40|55P03|57014)/.test(state), fault: 'busy' },
  // A lost or ended session, a node that became read-only, prepared statements that a pooler has lost or given twice.
  { is: (state) => /^(08|25|26000|42P05|57P)/.test(state), fault: 'session' },
];

/** System errors of sockets and names by family, and what TLS and certificates throw. */
const networkCode =
  /^(ECONN|EHOST|ENET|EADDR|EAI_|EPIPE|EPROTO|ETIMEDOUT|ENOTFOUND|ENOTCONN|ESHUTDOWN|ESOCKET|ERR_(TLS|SSL|SOCKET|STREAM)|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH)/;

/** What pg and Kysely throw without a code of its own, where it did not pass through our connections. */
const driverMessage =
  /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client (has encountered|was closed)|connection has been discarded|driver has already been destroyed|transaction (was|is) aborted/i;
