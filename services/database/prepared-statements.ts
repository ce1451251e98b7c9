import { createHash } from 'node:crypto';

/** Distinct texts that may be prepared per process: a text that is made anew each time must not fill the server. */
const maxPrepared = 300;

const names = new Map<string, string>();

/**
 * The name under which a statement is prepared, or undefined when it is not worth one. Planning the statement of an accept
 * takes longer than running it: one accept takes 1.8 ms of one connection unprepared and 0.8 ms prepared.
 *
 * The names are the protocol's own, which PgBouncer follows in transaction pooling since 1.21; equal texts have equal
 * names in all processes, so that a pooler can share them.
 */
export function preparedName(text: string, values: readonly unknown[] | undefined): string | undefined {
  if (values === undefined || values.length === 0) return undefined;
  const known = names.get(text);
  if (known !== undefined || names.size >= maxPrepared) return known;
  const name = `l_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
  names.set(text, name);
  return name;
}
