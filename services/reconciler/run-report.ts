import { quarantineRules } from './built-in-rules.ts';
import type { Circuit } from './circuit.ts';
import { circuitCounts } from './circuit-watch.ts';
import type { QuarantineBreaker } from './quarantine-breaker.ts';
import { quarantineCounts } from './quarantine-watch.ts';
import type { LetterResult, MoveTaskKnowledge } from './run.ts';
import type { Surroundings, SweepResult } from './sweep.ts';
import type { SweepDecision } from './sweep-decision.ts';

/** How a run ended, for the exit code: 0 converged (or suspended), 1 again, 2 needs a person. */
export type RunOutcome = 'converged' | 'suspended' | 'again' | 'needs_person';

/** What a run did, found and leaves behind. */
export type RunReport = {
  runId: string;
  queue: string;
  policy: string;
  dryRun: boolean;
  outcome: RunOutcome;
  /** one sentence for each thing that stands against "converged" */
  reasons: string[];
  counts: RunCounts;
  circuit: Circuit | null;
  /** null when the run looked at nothing */
  quarantine: QuarantineBreaker | null;
  moveTasks: MoveTaskKnowledge | null;
  /** from which age a gift counted as stranded, and why; null when the run did not sweep */
  sweep: SweepDecision | null;
  results: readonly LetterResult[];
  /** of the run's span; undefined when nothing is traced */
  traceparent: string | undefined;
  startedAt: Date;
  finishedAt: Date;
};

export type RunCounts = {
  scanned: number;
  redriven: number;
  quarantined: number;
  discarded: number;
  waiting: number;
  /** deleted only: an earlier run had done the rest */
  finished: number;
  errors: number;
  stopped: number;
  archived: number;
  /** dead letters that would be quarantined and are held by its breaker, or are stuck at maxRedrives: for a person */
  held_for_person: number;
  /** unreadable messages kept in Postgres that nobody has sent again */
  parked: number;
  /** left in the dead-letter queue, about */
  dead_letters: number;
  /** corrected by the safety net: gifts and deliveries whose message had vanished */
  requeued_gifts: number;
  requeued_deliveries: number;
  /** corrected by the safety net: deliveries and attempts that an end, or a dead worker, had left open */
  closed_leftovers: number;
  stuck_scheduled: number;
  stuck_queued: number;
  stuck_delivering: number;
};

export const exitCodes: Record<RunOutcome, 0 | 1 | 2> = {
  converged: 0,
  suspended: 0,
  again: 1,
  needs_person: 2,
};

export type Findings = {
  results: readonly LetterResult[];
  /** messages in the dead-letter queue when the run began, about */
  depth: number;
  scanComplete: boolean;
  circuit: Circuit;
  quarantine: QuarantineBreaker;
  parked: number;
  stuck: Surroundings['stuck'] | null;
  sweep: SweepResult | null;
  /** what ended the run before its end; null: nothing did */
  stoppedBecause: string | null;
};

/** Counts are the same for a dry run and for the real one: what is planned counts as done. Pure. */
export function countResults({ results, depth, parked, stuck, sweep }: Findings): RunCounts {
  const count = (wanted: (result: LetterResult) => boolean) => results.filter(wanted).length;
  const done = (verdict: LetterResult['verdict']) =>
    count((result) => result.verdict === verdict && isDone(result) && !result.deleteOnly);
  const left = count((result) => !isDone(result) || result.detail !== undefined);
  return {
    scanned: results.length,
    redriven: done('redrive'),
    quarantined: done('quarantine'),
    discarded: done('discard'),
    waiting: count(
      ({ outcome, verdict }) => outcome === 'waits' || (outcome === 'planned' && verdict === 'wait'),
    ),
    finished: count((result) => result.deleteOnly && isDone(result)),
    errors: count(({ outcome, detail }) => outcome === 'failed' || detail !== undefined),
    stopped: count(({ outcome }) => outcome === 'stopped'),
    archived: count(({ archive, outcome }) => archive && outcome !== 'stopped'),
    held_for_person: count(isForPerson),
    parked,
    dead_letters: left + Math.max(0, depth - results.length),
    requeued_gifts: sweep?.gifts ?? 0,
    requeued_deliveries: sweep?.deliveries ?? 0,
    closed_leftovers: sweep?.closed ?? 0,
    stuck_scheduled: stuck?.scheduled ?? 0,
    stuck_queued: stuck?.queued ?? 0,
    stuck_delivering: stuck?.delivering ?? 0,
  };
}

/** What stands against "converged", the graver first. Pure. */
export function judgeRun(findings: Findings): { outcome: RunOutcome; reasons: string[] } {
  const needsPerson = findingsOf(forPerson, findings);
  const stopped = findings.stoppedBecause === null ? [] : [`stopped early: ${findings.stoppedBecause}`];
  const again = [...findingsOf(forAgain, findings), ...stopped];
  const outcome = needsPerson.length > 0 ? 'needs_person' : again.length > 0 ? 'again' : 'converged';
  return { outcome, reasons: [...needsPerson, ...again] };
}

/** Counts as they are kept in Postgres, with circuit and quarantine breaker for the next run. */
export function storedCounts(
  counts: RunCounts,
  { circuit, quarantine }: Pick<Findings, 'circuit' | 'quarantine'>,
): Record<string, number> {
  return { ...counts, ...circuitCounts(circuit), ...quarantineCounts(quarantine) };
}

type Finding = (findings: Findings) => [count: number, sentence: string];

/** A rollout that lasts longer than this is no rollout any more. */
const foreignPatienceSeconds = 24 * 3_600;

const forPerson: Finding[] = [
  ({ results }) => [
    countOf(
      results,
      ({ letter, outcome, verdict }) =>
        letter.foreign &&
        letter.ageSeconds > foreignPatienceSeconds &&
        (outcome === 'waits' || verdict === 'wait'),
    ),
    'messages of another release have waited for it for more than 24 h',
  ],
  ({ results }) => [
    countOf(
      results,
      (result) => isDone(result) && result.verdict === 'quarantine' && result.letter.class === 'poison',
    ),
    'unreadable messages were quarantined: look at their bodies in dead_letters',
  ],
  ({ results }) => [
    countOf(results, (result) => isDone(result) && result.rule === 'max-redrives'),
    'messages died after every redrive they may have and were quarantined',
  ],
  ({ results }) => [
    countOf(results, ({ rule, verdict }) => rule === 'max-redrives' && verdict === 'wait'),
    'messages died after every redrive they may have, and not for their own fault: they wait (see `--release`)',
  ],
  ({ results }) => [
    countOf(results, ({ rule }) => rule === quarantineRules.breaker),
    'messages are held by the quarantine breaker: so many died that the fault is hardly their own (see `--release`)',
  ],
  ({ results }) => [
    countOf(
      results,
      ({ archive, outcome, verdict }) => archive && (outcome === 'waits' || verdict === 'wait'),
    ),
    'messages wait although their queue drops them within 24 h: their bodies are archived in dead_letters',
  ],
];

const forAgain: Finding[] = [
  ({ results }) => [
    countOf(results, ({ outcome }) => outcome === 'failed'),
    'messages could not be moved or deleted',
  ],
  ({ results }) => [
    countOf(results, ({ outcome, detail }) => outcome === 'applied' && detail !== undefined),
    'messages were sent and could not be deleted; the next run deletes them',
  ],
  ({ results }) => [
    countOf(results, ({ outcome }) => outcome === 'stopped'),
    'messages were not reached before the run had to stop',
  ],
  ({ results }) => [
    countOf(results, ({ rule }) => rule === 'circuit-breaker'),
    'messages are held back by the circuit breaker',
  ],
  ({ results }) => [
    countOf(results, ({ rule }) => rule === 'in-delivery'),
    'messages belong to gifts that are being delivered',
  ],
  ({ scanComplete }) => [
    scanComplete ? 0 : 1,
    'run did not see the whole queue (maxMessages, or too many bytes)',
  ],
];

function findingsOf(list: readonly Finding[], findings: Findings): string[] {
  return list.flatMap((find) => {
    const [count, sentence] = find(findings);
    return count > 0 ? [`${count} ${sentence}`] : [];
  });
}

function countOf(results: readonly LetterResult[], wanted: (result: LetterResult) => boolean): number {
  return results.filter(wanted).length;
}

function isForPerson({ rule, verdict }: LetterResult): boolean {
  return verdict === 'wait' && (rule === quarantineRules.breaker || rule === 'max-redrives');
}

function isDone({ outcome, verdict }: LetterResult): boolean {
  return outcome === 'applied' || (outcome === 'planned' && verdict !== 'wait');
}
