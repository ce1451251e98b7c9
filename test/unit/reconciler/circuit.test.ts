import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ageCircuit,
  type Circuit,
  evidenceSince,
  judgeCircuit,
  probeCount,
  redriveAllowance,
  untriedCircuit,
} from '../../../services/reconciler/circuit.ts';

const breaker = { windowSeconds: 600, maxFailureRatio: 0.5, minSamples: 20 };
const now = new Date('2026-11-21T12:00:00Z');
const secondsAgo = (seconds: number) => new Date(now.getTime() - seconds * 1_000);
const evidence = (samples: number, failures: number, successes = 0, lastRedriveAt: Date | null = now) => ({
  samples,
  failures,
  successes,
  lastRedriveAt,
});

describe('circuit', () => {
  test('P42: opens above the ratio, not at it, and only with enough samples', () => {
    expect(judgeCircuit(untriedCircuit, evidence(20, 10), breaker, now).state).toBe('closed');
    expect(judgeCircuit(untriedCircuit, evidence(19, 19), breaker, now).state).toBe('closed');
    expect(judgeCircuit(untriedCircuit, evidence(20, 11), breaker, now)).toEqual({
      state: 'open',
      since: now,
    });
  });

  test('P42: an open circuit lets nothing through for a window, then a few probes', () => {
    const open: Circuit = { state: 'open', since: secondsAgo(599) };
    expect(ageCircuit(open, breaker, now)).toBe(open);
    expect(redriveAllowance(open, evidence(0, 0))).toBe(0);
    const halfOpen = ageCircuit({ state: 'open', since: secondsAgo(600) }, breaker, now);
    expect(halfOpen).toEqual({ state: 'half_open', since: now });
    expect(redriveAllowance(halfOpen, evidence(0, 0))).toBe(probeCount);
    expect(redriveAllowance(halfOpen, evidence(3, 0))).toBe(probeCount - 3);
    expect(redriveAllowance(halfOpen, evidence(probeCount + 1, 0))).toBe(0);
  });

  test('P42: one dead probe opens it again; all arrived, or a quiet window, closes it', () => {
    const halfOpen: Circuit = { state: 'half_open', since: secondsAgo(700) };
    const judge = (seen: ReturnType<typeof evidence>) => judgeCircuit(halfOpen, seen, breaker, now).state;
    expect(judge(evidence(5, 1, 4))).toBe('open');
    expect(judge(evidence(5, 0, 4, secondsAgo(30)))).toBe('half_open');
    expect(judge(evidence(5, 0, 5))).toBe('closed');
    expect(judge(evidence(5, 0, 0, secondsAgo(600)))).toBe('closed');
    expect(judge(evidence(0, 0, 0, null))).toBe('half_open');
  });

  test('what happened before it closed does not open it again', () => {
    expect(evidenceSince({ state: 'closed', since: secondsAgo(60) }, breaker, now)).toEqual(secondsAgo(60));
    expect(evidenceSince({ state: 'closed', since: secondsAgo(6_000) }, breaker, now)).toEqual(
      secondsAgo(600),
    );
    expect(evidenceSince({ state: 'half_open', since: secondsAgo(6_000) }, breaker, now)).toEqual(
      secondsAgo(6_000),
    );
  });

  test('with maxFailureRatio 1 it never opens', () => {
    fc.assert(
      fc.property(fc.nat(1_000), (samples) => {
        const never = { ...breaker, maxFailureRatio: 1 };
        expect(judgeCircuit(untriedCircuit, evidence(samples, samples), never, now).state).toBe('closed');
      }),
    );
  });
});
