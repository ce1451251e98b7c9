import { describe, expect, test } from '@jest/globals';
import type { PolicyStatus } from '../../../services/reconciler/policy-status.ts';
import { refusal, suspended } from '../../../services/reconciler/refusals.ts';
import type { RunReport } from '../../../services/reconciler/run-report.ts';
import { statusAfter, statusAfterFailure, statusOfInvalid } from '../../../services/reconciler/status.ts';
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

  test('says that what no rule matches yet waits, beside that nothing is left to do', () => {
    const { counts } = report();
    expect(of(statusAfter(null, report(), 1), 'Succeeded')?.message).toBe('nothing is left to do');
    const waiting = report({ counts: { ...counts, waiting: 3 } });
    expect(of(statusAfter(null, waiting, 1), 'Succeeded')?.message).toBe(
      'nothing is left to do now; 3 wait until a rule matches them, as when they are older than its minAge',
    );
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

  test('of a policy that can not be used tells what is wrong with it, and keeps what was known of its queue', () => {
    const first = statusAfter(null, report({ finishedAt: at(1) }), 1);
    const scope = { generation: 2, previous: first, at: at(2) };
    const broken = statusOfInvalid(scope, [{ path: 'spec.rules[0].verdict', message: 'is missing' }]);
    expect(of(broken, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'Invalid',
      message: 'spec.rules[0].verdict: is missing',
      lastTransitionTime: at(2).toISOString(),
      observedGeneration: 2,
    });
    expect(of(broken, 'CircuitClosed')).toMatchObject({ status: 'True' });
    expect(broken.lastRun).toEqual(first.lastRun);
    const mended = statusAfter(broken, report({ finishedAt: at(3) }), 3);
    expect(of(mended, 'Ready')).toMatchObject({ status: 'True', lastTransitionTime: at(3).toISOString() });
  });

  test('P45: of a policy that was never looked at has every condition', () => {
    const scope = { generation: 1, previous: null, at: at(1) };
    const statuses = [
      statusOfInvalid(scope, []),
      statusAfterFailure(scope, { reason: 'DatabaseUnreachable', message: 'nothing listens' }),
    ];
    for (const { conditions } of statuses)
      expect(conditions.map(({ type }) => type)).toEqual([
        'Ready',
        'Succeeded',
        'CircuitClosed',
        'QuarantineAllowed',
        'MoveTasksListed',
      ]);
  });

  test('after a run that failed says why, and that the policy itself is in force', () => {
    const scope = { generation: 1, previous: null, at: at(1) };
    const failed = statusAfterFailure(scope, { reason: 'QueueUnreachable', message: 'nothing listens' });
    expect(of(failed, 'Ready')).toMatchObject({ status: 'True' });
    expect(of(failed, 'Succeeded')).toMatchObject({ status: 'False', reason: 'QueueUnreachable' });
  });

  test('P45: stays small however many problems or reasons there are', () => {
    const scope = { generation: 1, previous: null, at: at(1) };
    const problem = { path: 'spec.rules[0].match.minAge', message: 'is no duration' };
    const many = Array.from({ length: 800 }, () => problem);
    const reasons = Array.from({ length: 800 }, () => 'messages could not be moved or deleted');
    for (const status of [
      statusOfInvalid(scope, many),
      statusAfter(null, report({ outcome: 'again', reasons }), 1),
      statusAfterFailure(scope, { reason: 'Failed', message: 'x'.repeat(1_000_000) }),
    ])
      expect(JSON.stringify(status).length).toBeLessThan(5_000);
  });
});
