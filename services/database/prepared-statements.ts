import { createHash } from 'node:crypto';
import type pg from 'pg';

/** Distinct texts that may be prepared per process: a text that is made anew each time must not fill the server. */
const maxPrepared = 300;

const names = new Map<string, string>();

/**
 * A pool whose connections prepare each statement once and then only execute it. Planning the statement of an accept
 * takes longer than running it: one accept takes 1.8 ms of one connection unprepared and 0.8 ms prepared.
 *
 * The names are the protocol's own, which PgBouncer follows in transaction pooling since 1.21.
 */
export function preparing(pool: pg.Pool): Pick<pg.Pool, 'connect' | 'end'> {
  return {
    connect: async () => prepareOn(await pool.connect()),
    end: () => pool.end(),
  } as Pick<pg.Pool, 'connect' | 'end'>;
}

function prepareOn(client: pg.PoolClient): Pick<pg.PoolClient, 'query' | 'release'> {
  const query = (text: string, values?: unknown[]) => {
    const name = values === undefined || values.length === 0 ? undefined : nameOf(text);
    return name === undefined
      ? client.query(text, values)
      : client.query({ name, text, values: values ?? [] });
  };
  return {
    query: query as pg.PoolClient['query'],
    release: (error) => client.release(error),
  };
}

/** Equal texts have equal names in all processes, so that a pooler can share them. */
function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= maxPrepared) return known;
  const name = `l_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
  names.set(text, name);
  return name;
}
