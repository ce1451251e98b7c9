import type pg from 'pg';

/** Marks come one after the other when a node fails; what was connected since the last one is not to blame for it. */
const markEveryMs = 1_000;

/**
 * Which sessions may still be what they were. After a failover every session that was there before leads to a node which
 * can't write any more, and each would have to fail once to be found out; so what one has told counts for all of them.
 */
export class Trust {
  readonly #since = new WeakMap<pg.ClientBase, number>();
  #lostAtMs = Number.NEGATIVE_INFINITY;

  connected(client: pg.ClientBase): void {
    this.#since.set(client, performance.now());
  }

  /** No session that is connected by now is to be used again. @returns whether this is news */
  lose(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#lostAtMs < markEveryMs) return false;
    this.#lostAtMs = nowMs;
    return true;
  }

  isLost(client: pg.ClientBase): boolean {
    return (this.#since.get(client) ?? 0) <= this.#lostAtMs;
  }

  /** Connected so recently that another session would say the same. */
  isFresh(client: pg.ClientBase): boolean {
    return performance.now() - (this.#since.get(client) ?? 0) < markEveryMs;
  }
}
