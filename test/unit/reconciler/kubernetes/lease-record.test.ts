import { describe, expect, test } from '@jest/globals';
import {
  givenBack,
  type LeaseSpec,
  readLease,
  renewed,
  type Sighting,
  stepTowardsLease,
  takenBy,
} from '../../../../services/reconciler/kubernetes/lease-record.ts';

const at = (second: number) => new Date(Date.UTC(2026, 10, 28, 12, 0, second));
const held: LeaseSpec = takenBy(undefined, 'first', 30, at(0));
const metadata = { name: 'lease', namespace: 'gifts' };
const seenAt = (atMs: number, spec: LeaseSpec | undefined = held): Sighting => ({ spec, atMs });

describe('a Lease', () => {
  test.each<[string, LeaseSpec | undefined]>([
    ['that does not exist', undefined],
    ['that was given back', givenBack(held, at(5))],
    ['that names nobody', { ...held, holderIdentity: '' }],
    ['that says nothing', {}],
  ])('%s is taken at once', (_what, spec) => {
    expect(stepTowardsLease(seenAt(0, spec), spec, 0)).toEqual({ kind: 'take' });
  });

  test('P40: of a holder that nobody hears of is looked at until its time is over, and then taken', () => {
    expect(stepTowardsLease(seenAt(1_000), held, 1_000)).toEqual({ kind: 'wait', ms: 2_000 });
    expect(stepTowardsLease(seenAt(1_000), held, 30_500)).toEqual({ kind: 'wait', ms: 500 });
    expect(stepTowardsLease(seenAt(1_000), held, 31_000)).toEqual({ kind: 'take' });
  });

  test('that does not say how long it lasts is not taken at once', () => {
    const silent = { holderIdentity: 'somebody' };
    expect(stepTowardsLease(seenAt(0, silent), silent, 0)).toMatchObject({ kind: 'wait' });
    expect(stepTowardsLease(seenAt(0, silent), silent, 30_000)).toEqual({ kind: 'take' });
  });

  test.each([61, 86_400, 2 ** 31 - 1])(
    'that says %i seconds is free after a minute of silence all the same: no foreign holder keeps every run away',
    (leaseDurationSeconds) => {
      const absurd: LeaseSpec = { ...held, leaseDurationSeconds, renewTime: '9999-12-31T23:59:59.000000Z' };
      expect(stepTowardsLease(seenAt(0, absurd), absurd, 59_999)).toEqual({ kind: 'wait', ms: 1 });
      expect(stepTowardsLease(seenAt(0, absurd), absurd, 60_000)).toEqual({ kind: 'take' });
    },
  );

  test.each([0, -5, Number.NaN, 1.5, 'soon', null, {}])(
    'that is said to last %p lasts as long as one that does not say it: a living holder keeps it',
    (leaseDurationSeconds) => {
      const { spec } = readLease({ metadata, spec: { ...held, leaseDurationSeconds, strategy: 'x' } });
      expect(spec).toMatchObject({ holderIdentity: 'first', strategy: 'x' });
      expect(stepTowardsLease(seenAt(0, spec), spec, 29_000)).toEqual({ kind: 'wait', ms: 1_000 });
      expect(stepTowardsLease(seenAt(0, spec), spec, 30_000)).toEqual({ kind: 'take' });
    },
  );

  test.each([null, 'x', 7, [], { holderIdentity: null, leaseTransitions: 'five', renewTime: 9 }])(
    'whose content is %p is one without a holder',
    (written) => {
      const { spec } = readLease({ metadata, spec: written });
      expect(stepTowardsLease(seenAt(0, spec), spec, 0)).toEqual({ kind: 'take' });
      expect(takenBy(spec, 'second', 30, at(0)).leaseTransitions).toBe(1);
    },
  );

  test('whose count of hands is at its end begins anew: an API server takes 32 bits', () => {
    const worn: LeaseSpec = { ...held, leaseTransitions: 2 ** 31 - 1 };
    expect(takenBy(worn, 'second', 30, at(40)).leaseTransitions).toBe(0);
  });

  test.each<[string, LeaseSpec]>([
    ['has renewed it', renewed(held, at(5))],
    ['took it meanwhile', takenBy(held, 'second', 30, at(40))],
    ['took it again', takenBy(held, 'first', 30, at(0))],
  ])('of a holder that %s is left to it', (_what, now) => {
    const step = stepTowardsLease(seenAt(0), now, 60_000);
    expect(step).toEqual({ kind: 'taken', holder: now.holderIdentity });
  });

  test('that came into being after the first look belongs to whoever made it', () => {
    const first: Sighting = { spec: undefined, atMs: 0 };
    expect(stepTowardsLease(first, held, 60_000)).toEqual({ kind: 'taken', holder: 'first' });
  });

  test('no two clocks are compared: a holder whose clock is a year behind, or ahead, is alive all the same', () => {
    for (const year of [2025, 2027]) {
      const spec = takenBy(undefined, 'first', 30, new Date(Date.UTC(year, 0)));
      expect(stepTowardsLease(seenAt(0, spec), spec, 29_999)).toMatchObject({ kind: 'wait' });
      const later = renewed(spec, new Date(Date.UTC(year, 0, 1, 0, 0, 5)));
      expect(stepTowardsLease(seenAt(0, spec), later, 30_000)).toMatchObject({ kind: 'taken' });
    }
  });

  test('counts its changes of hands, and its times have the six digits that Kubernetes wants', () => {
    const second = takenBy(held, 'second', 30, at(40));
    expect([held.leaseTransitions, second.leaseTransitions]).toEqual([0, 1]);
    expect(second.acquireTime).toBe('2026-11-28T12:00:40.000000Z');
    expect(givenBack(second, at(41))).not.toHaveProperty('holderIdentity');
  });
});
