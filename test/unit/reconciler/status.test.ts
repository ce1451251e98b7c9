import { describe, expect, test } from '@jest/globals';
import type { PolicyStatus } from '../../../services/reconciler/policy-status.ts';
import { refusal, suspended } from '../../../services/reconciler/refusals.ts';
import type { RunReport } from '../../../services/reconciler/run-report.ts';
import { statusAfter } from '../../../services/reconciler/status.ts';
import { standardPolicy } from './letters.ts';

const at = (minute: number) => new Date(Date.UTC(2026, 10, 21, 12, minute));

function report(changes: Partial<RunReport> = {}): RunReport {
  const run = { id: 'run', policy: standardPolicy(), dryRun: false, startedAt: at(0) };
  return {
    ...refusal(run, { outcome: 'converged', reason: '' }),
    reasons: [],
    circuit: { state: 'closed', since: at(0) },
    ...changes,
  };
}
const of = (status: PolicyStatus, type: string) =>
  status.conditions.find((condition) => condition.type === type);

describe('status', () => {
  test('has all conditions from the first run on, with the generation that it is about', () => {
    const status = statusAfter(null, report({ finishedAt: at(1) }), 3);
    expect(status.observedGeneration).toBe(3);
    expect(status.conditions.map(({ type, status: value, reason }) => [type, value, reason])).toEqual([
      ['Ready', 'True', 'PolicyAccepted'],
      ['Succeeded', 'True', 'Converged'],
      ['CircuitClosed', 'True', 'Closed'],
      ['QuarantineAllowed', 'Unknown', 'NotJudged'],
      ['MoveTasksListed', 'Unknown', 'NotJudged'],
    ]);
    expect(status.lastRun).toMatchObject({ finishedAt: at(1).toISOString(), dryRun: false, scanned: 0 });
  });

  test('P45: the time of transition moves only when a condition changes', () => {
    const first = statusAfter(null, report({ finishedAt: at(1) }), 1);
    const same = statusAfter(first, report({ finishedAt: at(2) }), 1);
    expect(of(same, 'Succeeded')?.lastTransitionTime).toBe(at(1).toISOString());
    const changed = report({ outcome: 'again', reasons: ['3 left'], finishedAt: at(3) });
    const broken = statusAfter(same, { ...changed, circuit: { state: 'open', since: at(3) } }, 1);
    expect(of(broken, 'Succeeded')).toMatchObject({
      status: 'False',
      reason: 'TryAgain',
      message: '3 left',
      lastTransitionTime: at(3).toISOString(),
    });
    expect(of(broken, 'CircuitClosed')).toMatchObject({ status: 'False', reason: 'Open' });
    expect(of(broken, 'Ready')?.lastTransitionTime).toBe(at(1).toISOString());
  });

  test('a run that was refused or suspended leaves what the last one saw', () => {
    const first = statusAfter(null, report({ finishedAt: at(1) }), 1);
    const run = { id: 'run', policy: standardPolicy(), dryRun: false, startedAt: at(2) };
    const paused = statusAfter(first, refusal(run, suspended), 2);
    expect(paused.lastRun).toEqual(first.lastRun);
    expect(of(paused, 'Ready')).toMatchObject({ status: 'False', reason: 'Suspended' });
    expect(of(paused, 'CircuitClosed')).toMatchObject({ status: 'True' });
    expect(paused.observedGeneration).toBe(2);
  });

  test('a dry run leaves the queue as it is', () => {
    const counts = { ...report().counts, redriven: 4, quarantined: 1, dead_letters: 2 };
    expect(statusAfter(null, report({ counts, dryRun: true }), null).deadLetters).toBe(7);
    expect(statusAfter(null, report({ counts }), null).deadLetters).toBe(2);
  });
});
