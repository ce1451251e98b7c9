import { createHash } from 'node:crypto';

/** Distinct texts that may be prepared per process: a text that is made anew each time must not fill the server. */
const maxPrepared = 300;

export type Prepared = { name: string; text: string };

/**
 * The names under which statements are prepared. Planning the statement of an accept takes longer than running it: one
 * accept takes 1.8 ms of one connection unprepared and 0.8 ms prepared.
 *
 * The names are the protocol's own, which PgBouncer follows in transaction pooling since 1.21; equal texts have equal
 * names in all processes, so that a pooler can share them.
 */
export class PreparedStatements {
  #prepared = new Map<string, Prepared>();
  #generation = 0;
  #on: boolean;

  constructor(on: boolean) {
    this.#on = on;
  }

  get on(): boolean {
    return this.#on;
  }

  /** Undefined when the statement is not worth a name, or none are given. */
  of(text: string, values: readonly unknown[] | undefined): Prepared | undefined {
    if (!this.#on || values === undefined || values.length === 0) return undefined;
    const known = this.#prepared.get(text);
    if (known !== undefined || this.#prepared.size >= maxPrepared) return known;
    // The text changes along with the name: a pooler that shares by text would answer with the old plan.
    const renewed = this.#generation === 0 ? text : `${text}\n/* ${this.#generation} */`;
    const name = `l_${createHash('sha256').update(renewed).digest('hex').slice(0, 24)}`;
    const prepared = { name, text: renewed };
    this.#prepared.set(text, prepared);
    return prepared;
  }

  /** After a migration has changed what a prepared statement answers: all are prepared anew, on every connection. */
  renew(): void {
    this.#generation += 1;
    this.#prepared = new Map();
  }

  /** For good: a pooler that loses them now will lose them again. @returns whether they were on until now */
  switchOff(): boolean {
    const wasOn = this.#on;
    this.#on = false;
    return wasOn;
  }
}
