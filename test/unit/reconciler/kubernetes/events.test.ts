import { describe, expect, test } from '@jest/globals';
import { eventsBetween } from '../../../../services/reconciler/kubernetes/events.ts';
import type { Condition, PolicyStatus } from '../../../../services/reconciler/policy-status.ts';

function status(...conditions: Partial<Condition>[]): PolicyStatus {
  return {
    conditions: conditions.map((condition) => ({
      type: 'Ready',
      status: 'True',
      reason: 'PolicyAccepted',
      message: 'the policy is in force',
      lastTransitionTime: '2026-11-28T12:00:00.000Z',
      ...condition,
    })),
  };
}
const ready = { type: 'Ready' } as const;
const closed = { type: 'CircuitClosed', status: 'True', reason: 'Closed', message: 'ok' } as const;
const open = {
  type: 'CircuitClosed',
  status: 'False',
  reason: 'Open',
  message: 'too many died again',
} as const;

describe('Events', () => {
  test('of a first run tell that the policy is in force, and what is wrong, not what is well', () => {
    expect(eventsBetween(null, status(ready, closed))).toEqual([
      {
        type: 'Normal',
        reason: 'PolicyAccepted',
        note: 'Ready is True: the policy is in force',
        about: 'Ready',
      },
    ]);
    expect(eventsBetween(null, status(ready, open)).map(({ reason }) => reason)).toEqual([
      'PolicyAccepted',
      'Open',
    ]);
  });

  test('are made for changes alone: a run each minute that finds the same, in other words, makes none', () => {
    const before = status(ready, open);
    expect(eventsBetween(before, status(ready, { ...open, message: '17 died again' }))).toEqual([]);
  });

  test('tell trouble as a warning and its end as normal, a suspension too', () => {
    expect(eventsBetween(status(ready, closed), status(ready, open))).toMatchObject([
      { type: 'Warning', reason: 'Open', note: 'CircuitClosed is False: too many died again' },
    ]);
    expect(eventsBetween(status(ready, open), status(ready, closed))).toMatchObject([{ type: 'Normal' }]);
    const suspended = status({ ...ready, status: 'False', reason: 'Suspended' });
    expect(eventsBetween(status(ready), suspended)).toMatchObject([{ type: 'Normal', reason: 'Suspended' }]);
  });

  test('are not made of what is unknown: a suspension is told once', () => {
    const before = status(ready, { type: 'Succeeded', reason: 'Converged' });
    const after = status(
      { ...ready, status: 'False', reason: 'Suspended' },
      { type: 'Succeeded', status: 'Unknown', reason: 'Suspended' },
    );
    expect(eventsBetween(before, after).map(({ about }) => about)).toEqual(['Ready']);
  });

  test('are told when only the reason changes', () => {
    const half = { ...open, reason: 'HalfOpen' };
    expect(eventsBetween(status(open), status(half))).toMatchObject([{ reason: 'HalfOpen' }]);
  });

  test('have notes that fit into 1,024 bytes, whatever the characters', () => {
    const long = status({ ...open, message: '🎁'.repeat(2_000) });
    const [event] = eventsBetween(status(closed), long);
    expect(Buffer.byteLength(event?.note ?? '')).toBeLessThanOrEqual(1_024);
    expect(event?.note.endsWith('…')).toBe(true);
  });
});
