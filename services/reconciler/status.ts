import type { RunCounts, RunOutcome, RunReport } from './run-report.ts';

export type Condition = {
  type: 'Ready' | 'Succeeded' | 'CircuitClosed' | 'QuarantineAllowed' | 'MoveTasksListed';
  status: 'True' | 'False' | 'Unknown';
  /** CamelCase, for programs */
  reason: string;
  /** for people */
  message: string;
  /** RFC 3339; moves only when `status` does */
  lastTransitionTime: string;
  observedGeneration?: number;
};

/** `status` of a DeadLetterPolicy. Counts only: its size does not grow with the queue. */
export type PolicyStatus = {
  observedGeneration?: number;
  conditions: Condition[];
  lastRun?: { startedAt: string; finishedAt: string; dryRun: boolean } & Pick<
    RunCounts,
    'scanned' | 'redriven' | 'quarantined' | 'discarded' | 'waiting' | 'errors'
  >;
  deadLetters?: number;
};

type Judged = Omit<Condition, 'lastTransitionTime' | 'observedGeneration'>;

/** The status after a run. Conditions that did not change keep their time of transition. Pure. */
export function statusAfter(
  previous: PolicyStatus | null,
  report: RunReport,
  generation: number | null,
): PolicyStatus {
  const observed = generation === null ? {} : { observedGeneration: generation };
  const judged = [
    ready(report),
    succeeded(report),
    circuitClosed(report, previous),
    quarantineAllowed(report, previous),
    moveTasksListed(report, previous),
  ];
  const conditions = judged.map((condition): Condition => {
    const before = previous?.conditions.find(({ type }) => type === condition.type);
    const unchanged = before?.status === condition.status;
    const lastTransitionTime = unchanged ? before.lastTransitionTime : report.finishedAt.toISOString();
    return { ...condition, lastTransitionTime, ...observed };
  });
  // A run that was refused has looked at nothing: what the last one saw still stands.
  if (report.circuit === null) return { ...previous, ...observed, conditions };
  const { scanned, redriven, quarantined, discarded, waiting, errors } = report.counts;
  return {
    ...observed,
    conditions,
    lastRun: {
      startedAt: report.startedAt.toISOString(),
      finishedAt: report.finishedAt.toISOString(),
      dryRun: report.dryRun,
      ...{ scanned, redriven, quarantined, discarded, waiting, errors },
    },
    deadLetters: deadLettersLeft(report),
  };
}

/** A dry run counts what a real one would leave; it leaves everything. */
function deadLettersLeft({ dryRun, counts }: RunReport): number {
  const moved = counts.redriven + counts.quarantined + counts.discarded + counts.finished;
  return counts.dead_letters + (dryRun ? moved : 0);
}

function ready({ outcome }: RunReport): Judged {
  return outcome === 'suspended'
    ? { type: 'Ready', status: 'False', reason: 'Suspended', message: 'spec.suspend is true' }
    : { type: 'Ready', status: 'True', reason: 'PolicyAccepted', message: 'the policy is in force' };
}

const outcomes: Record<RunOutcome, Pick<Judged, 'status' | 'reason'>> = {
  converged: { status: 'True', reason: 'Converged' },
  suspended: { status: 'Unknown', reason: 'Suspended' },
  again: { status: 'False', reason: 'TryAgain' },
  needs_person: { status: 'False', reason: 'NeedsPerson' },
};

function succeeded({ outcome, reasons }: RunReport): Judged {
  const message = reasons.length > 0 ? reasons.join('; ') : 'nothing is left to do';
  return {
    type: 'Succeeded',
    ...outcomes[outcome],
    message: outcome === 'suspended' ? 'no run while suspended' : message,
  };
}

function circuitClosed({ circuit }: RunReport, previous: PolicyStatus | null): Judged {
  const type = 'CircuitClosed';
  switch (circuit?.state) {
    case 'closed':
      return { type, status: 'True', reason: 'Closed', message: 'redriven messages get through' };
    case 'open':
      return { type, status: 'False', reason: 'Open', message: 'too many redriven messages died again' };
    case 'half_open':
      return {
        type,
        status: 'False',
        reason: 'HalfOpen',
        message: 'a few probes decide whether redriving helps',
      };
    default:
      return asBefore(type, previous);
  }
}

function quarantineAllowed({ quarantine }: RunReport, previous: PolicyStatus | null): Judged {
  const type = 'QuarantineAllowed';
  switch (quarantine?.state) {
    case 'closed':
      return { type, status: 'True', reason: 'Closed', message: 'few gifts die for good' };
    case 'tripped': {
      const message =
        'so many gifts died that the fault is hardly their own: none is failed until a person releases them';
      return { type, status: 'False', reason: 'NeedsPerson', message };
    }
    default:
      return asBefore(type, previous);
  }
}

function moveTasksListed({ moveTasks }: RunReport, previous: PolicyStatus | null): Judged {
  const type = 'MoveTasksListed';
  switch (moveTasks) {
    case 'known':
      return {
        type,
        status: 'True',
        reason: 'Listed',
        message: 'a redrive by the queue service itself is noticed',
      };
    case 'unknown': {
      const message =
        'the queue service does not list its own redrives: one started in its console is not noticed';
      return { type, status: 'False', reason: 'NotSupported', message };
    }
    default:
      return asBefore(type, previous);
  }
}

function asBefore(type: Condition['type'], previous: PolicyStatus | null): Judged {
  const before = previous?.conditions.find((condition) => condition.type === type);
  if (before === undefined)
    return { type, status: 'Unknown', reason: 'NotJudged', message: 'no run has looked at the queue' };
  return { type, status: before.status, reason: before.reason, message: before.message };
}
