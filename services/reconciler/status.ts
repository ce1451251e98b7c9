import type { PolicyProblem } from './policy-checks.ts';
import type { Condition, PolicyStatus } from './policy-status.ts';
import type { RunOutcome, RunReport } from './run-report.ts';

type Judged = Omit<Condition, 'lastTransitionTime' | 'observedGeneration'>;

/** What a status is about: the policy's generation (a file has none), what it told before, and when it is written. */
export type StatusScope = { generation: number | null; previous: PolicyStatus | null; at: Date };

/** The status after a run. Conditions that did not change keep their time of transition. Pure. */
export function statusAfter(
  previous: PolicyStatus | null,
  report: RunReport,
  generation: number | null,
): PolicyStatus {
  const scope = { generation, previous, at: report.finishedAt };
  const status = judgedStatus(scope, [
    ready(report),
    succeeded(report),
    circuitClosed(report, previous),
    quarantineAllowed(report, previous),
    moveTasksListed(report, previous),
  ]);
  // A run that was refused has looked at nothing: what the last one saw still stands.
  if (report.circuit === null) return status;
  const { scanned, redriven, quarantined, discarded, waiting, errors } = report.counts;
  return {
    ...status,
    lastRun: {
      startedAt: report.startedAt.toISOString(),
      finishedAt: report.finishedAt.toISOString(),
      dryRun: report.dryRun,
      ...{ scanned, redriven, quarantined, discarded, waiting, errors },
    },
    deadLetters: deadLettersLeft(report),
  };
}

/** The status of a policy that can't be used: what is wrong with it, and what was known of its queue. Pure. */
export function statusOfInvalid(scope: StatusScope, problems: readonly PolicyProblem[]): PolicyStatus {
  const message = shortened(problems.map((problem) => `${problem.path}: ${problem.message}`).join('; '));
  return judgedStatus(scope, [
    { type: 'Ready', status: 'False', reason: 'Invalid', message },
    {
      type: 'Succeeded',
      status: 'Unknown',
      reason: 'Invalid',
      message: 'no run with a policy that can not be used',
    },
    ...asBeforeAll(scope.previous),
  ]);
}

/** The status after a run that could not be made or was cut short by an error. Pure. */
export function statusAfterFailure(
  scope: StatusScope,
  { reason, message }: { reason: string; message: string },
): PolicyStatus {
  return judgedStatus(scope, [
    accepted,
    { type: 'Succeeded', status: 'False', reason, message: shortened(message) },
    ...asBeforeAll(scope.previous),
  ]);
}

function judgedStatus({ generation, previous, at }: StatusScope, judged: readonly Judged[]): PolicyStatus {
  const observed = generation === null ? {} : { observedGeneration: generation };
  const conditions = judged.map((condition): Condition => {
    const before = previous?.conditions.find(({ type }) => type === condition.type);
    const unchanged = before?.status === condition.status;
    const lastTransitionTime = unchanged ? before.lastTransitionTime : at.toISOString();
    return { ...condition, lastTransitionTime, ...observed };
  });
  return { ...previous, ...observed, conditions };
}

/** However many rules are wrong in however many ways, a status stays small. */
const mostCharacters = 2_000;

function shortened(message: string): string {
  return message.length <= mostCharacters ? message : `${message.slice(0, mostCharacters)}…`;
}

/** A dry run counts what a real one would leave; it leaves everything. */
function deadLettersLeft({ dryRun, counts }: RunReport): number {
  const moved = counts.redriven + counts.quarantined + counts.discarded + counts.finished;
  return counts.dead_letters + (dryRun ? moved : 0);
}

function ready({ outcome }: RunReport): Judged {
  return outcome === 'suspended'
    ? { type: 'Ready', status: 'False', reason: 'Suspended', message: 'spec.suspend is true' }
    : accepted;
}

const accepted: Judged = {
  type: 'Ready',
  status: 'True',
  reason: 'PolicyAccepted',
  message: 'the policy is in force',
};

const outcomes: Record<RunOutcome, Pick<Judged, 'status' | 'reason'>> = {
  converged: { status: 'True', reason: 'Converged' },
  suspended: { status: 'Unknown', reason: 'Suspended' },
  again: { status: 'False', reason: 'TryAgain' },
  needs_person: { status: 'False', reason: 'NeedsPerson' },
};

function succeeded({ outcome, reasons, counts }: RunReport): Judged {
  const message = reasons.length > 0 ? shortened(reasons.join('; ')) : nothingLeft(counts);
  return {
    type: 'Succeeded',
    ...outcomes[outcome],
    message: outcome === 'suspended' ? 'no run while suspended' : message,
  };
}

function nothingLeft({ waiting }: RunReport['counts']): string {
  if (waiting === 0) return 'nothing is left to do';
  return `nothing is left to do now; ${waiting} wait until a rule matches them, as when they are older than its minAge`;
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

/** Of a queue that nobody has looked at. */
function asBeforeAll(previous: PolicyStatus | null): Judged[] {
  return (['CircuitClosed', 'QuarantineAllowed', 'MoveTasksListed'] as const).map((type) =>
    asBefore(type, previous),
  );
}

function asBefore(type: Condition['type'], previous: PolicyStatus | null): Judged {
  const before = previous?.conditions.find((condition) => condition.type === type);
  if (before === undefined)
    return { type, status: 'Unknown', reason: 'NotJudged', message: 'no run has looked at the queue' };
  return { type, status: before.status, reason: before.reason, message: before.message };
}
