import type { Kysely } from 'kysely';
import { countRedriveOutcomes, findRedrivenSends } from '../database/queries/reconciler-history.ts';
import { pardonRedrives } from '../database/queries/reconciler-quarantine.ts';
import { lastRunCounts } from '../database/queries/reconciler-runs.ts';
import type { Database } from '../database/schema.ts';
import {
  ageCircuit,
  type Circuit,
  type CircuitEvidence,
  evidenceSince,
  judgeCircuit,
  redriveAllowance,
  untriedCircuit,
} from './circuit.ts';
import { subjectIdIn } from './letter-subjects.ts';
import type { Policy } from './policy.ts';
import type { SeenLetter } from './seen-letter.ts';

/** Counting a window's redrives takes up to half a second where it holds 100,000 of them: not before each page. */
const recheckAfterMs = 5_000;

/** The circuit of one queue for the length of a run: as the last run left it, then as the evidence has it. */
export class CircuitWatch {
  readonly #db: Kysely<Database>;
  readonly #policy: Policy;
  readonly #dryRun: boolean;
  #circuit: Circuit;
  #checkedAtMs = 0;

  constructor(db: Kysely<Database>, policy: Policy, circuit: Circuit, dryRun: boolean) {
    this.#db = db;
    this.#policy = policy;
    this.#dryRun = dryRun;
    this.#circuit = circuit;
  }

  static async open(db: Kysely<Database>, policy: Policy, dryRun: boolean): Promise<CircuitWatch> {
    return new CircuitWatch(db, policy, readCircuit(await lastRunCounts(db, policy.queue)), dryRun);
  }

  get circuit(): Circuit {
    return this.#circuit;
  }

  /** Judges by what the database knows and by the deaths that this run is the first to see. */
  async judge(
    letters: readonly SeenLetter[],
    now: Date,
  ): Promise<{ state: Circuit['state']; allowance: number }> {
    const breaker = this.#policy.circuitBreaker;
    this.#circuit = ageCircuit(this.#circuit, breaker, now);
    const since = evidenceSince(this.#circuit, breaker, now);
    const evidence = await this.#evidence(since, newDeaths(letters, since));
    const before = this.#circuit.state;
    this.#circuit = judgeCircuit(this.#circuit, evidence, breaker, now);
    // What died so that it opened did not die of itself: its redrives do not count against it.
    if (this.#circuit.state === 'open' && before !== 'open' && !this.#dryRun) {
      await pardonRedrives(this.#db, this.#policy.queue, { since });
    }
    this.#checkedAtMs = now.getTime();
    return { state: this.#circuit.state, allowance: redriveAllowance(this.#circuit, evidence) };
  }

  /** Whether the circuit is open by now: asked again and again while a run redrives. */
  async opens(now: Date): Promise<boolean> {
    if (this.#circuit.state !== 'open' && now.getTime() - this.#checkedAtMs >= recheckAfterMs) {
      await this.judge([], now);
    }
    return this.#circuit.state === 'open';
  }

  async #evidence(since: Date, deaths: number): Promise<CircuitEvidence> {
    const { queue } = this.#policy;
    const keys = await findRedrivenSends(this.#db, queue, since);
    const sends = keys.map((key) => ({ message_key: key, delivery_id: subjectIdIn(key) }));
    const known = await countRedriveOutcomes(this.#db, queue, since, sends);
    const failures = Math.min(known.samples, known.failures + deaths);
    return { ...known, failures, lastRedriveAt: known.last_redrive_at };
  }
}

const stateNumbers: Record<Circuit['state'], number> = { closed: 0, open: 1, half_open: 2 };

/** The circuit among the counts of a run, where the next run finds it. */
export function circuitCounts({ state, since }: Circuit): Record<string, number> {
  return { circuit_state: stateNumbers[state], circuit_since: Math.floor(since.getTime() / 1_000) };
}

function readCircuit(counts: Record<string, number> | null): Circuit {
  const known = Object.entries(stateNumbers).find(([, number]) => number === counts?.['circuit_state']);
  if (known === undefined) return untriedCircuit;
  return { state: known[0] as Circuit['state'], since: new Date((counts?.['circuit_since'] ?? 0) * 1_000) };
}

/** Keys that were redriven, are back, and were not counted by the database. */
function newDeaths(letters: readonly SeenLetter[], since: Date): number {
  const keys = letters.flatMap(({ key, foreign, lastRedriveAt, deathSeen, deadLetteredAt }) => {
    if (foreign) return [];
    if (lastRedriveAt === null || lastRedriveAt < since || deathSeen) return [];
    return deadLetteredAt !== null && deadLetteredAt > lastRedriveAt ? [] : [key];
  });
  return new Set(keys).size;
}
