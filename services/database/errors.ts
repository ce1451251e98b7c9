import pg from 'pg';

/** The name of the constraint that refused a statement, or undefined when the error is something else. */
export function violatedConstraint(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.constraint : undefined;
}

/** Whether the server itself refused the statement, and the connection is good for the next one. */
export function isRefusal(error: unknown): boolean {
  return error instanceof pg.DatabaseError;
}

/** Whether the same statement may well succeed when tried again: lost connections, locks, restarts, full pools. */
export function isTransientDatabaseError(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return transientSqlState.test(error.code ?? '');
  const { code, message } = (
    typeof error === 'object' && error ? error : {}
  ) as Partial<NodeJS.ErrnoException>;
  return transientSocketCodes.has(code ?? '') || transientMessages.test(message ?? '');
}

/** 08 connection, 40 rollback (serialization, deadlock), 53 resources, 55P03 lock, 57 operator intervention. */
const transientSqlState = /^(08|40|53|55P03|57)/;

const transientSocketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** What pg throws without a code of its own. */
const transientMessages =
  /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error/;
