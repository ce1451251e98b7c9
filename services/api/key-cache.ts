import type { ApiKeyRow } from '../database/queries/api-keys.ts';

export type FindKey = (secretHash: Buffer) => Promise<ApiKeyRow | undefined>;

export type KeyCacheOptions = {
  /** how long a revoked key may go on working in this process */
  maxAgeMs: number;
  maxEntries: number;
  nowMs: () => number;
};

type Entry = { row: Promise<ApiKeyRow | undefined>; until: number };

/**
 * Remembers keys that exist for a few seconds: without it every request of a busy sender asks the database who they are,
 * a fifth of the round trips of an accept. Keys that don't exist are not remembered: guesses would crowd out the others.
 */
export function cacheKeys(find: FindKey, options: KeyCacheOptions): FindKey {
  const entries = new Map<string, Entry>();
  return async (secretHash) => {
    const id = secretHash.toString('base64');
    const known = entries.get(id);
    if (known && known.until > options.nowMs()) return await known.row;
    const entry: Entry = { row: find(secretHash), until: options.nowMs() + options.maxAgeMs };
    entries.delete(id);
    entries.set(id, entry);
    const [oldest] = entries.keys();
    if (entries.size > options.maxEntries && oldest !== undefined) entries.delete(oldest);
    const forget = () => {
      if (entries.get(id) === entry) entries.delete(id);
    };
    try {
      const row = await entry.row;
      if (row === undefined) forget();
      return row;
    } catch (error) {
      forget();
      throw error;
    }
  };
}
