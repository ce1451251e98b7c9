import type pg from 'pg';
import { rememberDriverError } from './errors.ts';

/** As long as for a connection: whoever is told so may try again. */
const patienceMs = 5_000;

/**
 * A part of a pool for those who may wait long: at most `most` of its connections are in their hands at once. Readers of a table
 * that somebody has locked would otherwise hold all of them, and what has nothing to do with that table would wait with them.
 */
export function shareOf(pool: pg.Pool, most: number): pg.Pool {
  const waiting = new Set<() => void>();
  let free = most;
  const give = () => {
    const [next] = waiting;
    if (next === undefined) free += 1;
    else {
      waiting.delete(next);
      next();
    }
  };
  const take = async (): Promise<void> => {
    if (free > 0) {
      free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const mine = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        waiting.delete(mine);
        reject(allTaken(most));
      }, patienceMs);
      waiting.add(mine);
    });
  };
  const connect = async (): Promise<pg.PoolClient> => {
    await take();
    try {
      const client = await pool.connect();
      const release = (error?: Error | boolean) => {
        client.release(error);
        give();
      };
      return { ...client, release } as pg.PoolClient;
    } catch (error) {
      give();
      throw error;
    }
  };
  // Whose pool it is ends it.
  return { options: pool.options, connect, end: async () => undefined } as unknown as pg.Pool;
}

function allTaken(most: number): Error {
  const error = new Error(`none of the ${most} connections for readers became free in time`);
  rememberDriverError(error);
  return error;
}
