import pg from 'pg';
import { type Bounds, startupOptions } from './bounds.ts';

/**
 * How a session is told its bounds when it starts. A pooler may refuse to pass them on, and an older server may not know
 * all of them: then sessions start with less, and the role's own settings have to do.
 */
export class SessionStart {
  readonly #settings: { options?: string | undefined };
  readonly #given: string | undefined;
  #bounds: Partial<Bounds>;
  #version = 0;

  /** `settings` are those of the pool, which reads them for each new connection. */
  constructor(settings: { options?: string | undefined }, bounds: Bounds) {
    this.#settings = settings;
    this.#given = settings.options;
    this.#bounds = bounds;
    this.#apply();
  }

  /** Of what sessions are told: one that was refused may have been told more than the next will be. */
  get version(): number {
    return this.#version;
  }

  /** After a refusal: asks for less. @returns why, or null when the refusal was about something else */
  relax(error: unknown): string | null {
    if (!(error instanceof pg.DatabaseError) || Object.keys(this.#bounds).length === 0) return null;
    if (error.code === '42704' && this.#bounds.transaction_timeout !== undefined) {
      const { transaction_timeout: _unknown, ...known } = this.#bounds;
      this.#bounds = known;
    } else if (/unsupported startup parameter/i.test(error.message)) {
      this.#bounds = {};
    } else {
      return null;
    }
    this.#apply();
    this.#version += 1;
    return error.message;
  }

  /** What the address itself gives comes last, and so has the last word. */
  #apply(): void {
    const options = [startupOptions(this.#bounds), this.#given].filter(Boolean).join(' ');
    this.#settings.options = options === '' ? undefined : options;
  }
}
