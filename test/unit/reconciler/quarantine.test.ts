import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decide } from '../../../services/reconciler/decide.ts';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import { readPolicy } from '../../../services/reconciler/policy-document.ts';
import {
  judgeQuarantine,
  type QuarantineBreaker,
  quarantinesSince,
  untriedQuarantine,
} from '../../../services/reconciler/quarantine-breaker.ts';
import { candidateKeys, holdQuarantines } from '../../../services/reconciler/quarantine-hold.ts';
import { anyLetter, letter, standardPolicy } from './letters.ts';

const limits = { windowSeconds: 3_600, maxRatio: 0.3, minSamples: 10, maxCount: null };
const now = new Date('2026-11-28T12:00:00Z');
const at = (secondsAgo: number) => new Date(now.getTime() - secondsAgo * 1_000);
const judged = (breaker: QuarantineBreaker, dead: number, delivered: number, candidates = dead) =>
  judgeQuarantine(breaker, { dead, delivered, candidates }, limits, { now, scanComplete: true }).state;

describe('quarantine breaker', () => {
  test('trips above the ratio, not at it, and only with enough dead', () => {
    expect(judged(untriedQuarantine, 30, 70)).toBe('closed');
    expect(judged(untriedQuarantine, 31, 69)).toBe('tripped');
    expect(judged(untriedQuarantine, 9, 0)).toBe('closed');
    expect(judged(untriedQuarantine, 10, 0)).toBe('tripped');
  });

  test('trips above a number of dead, where there is one, whatever else arrived', () => {
    const counted = { ...limits, maxCount: 100 };
    const context = { now, scanComplete: true };
    const evidence = (dead: number) => ({ dead, delivered: 1_000_000, candidates: dead });
    expect(judgeQuarantine(untriedQuarantine, evidence(100), counted, context).state).toBe('closed');
    expect(judgeQuarantine(untriedQuarantine, evidence(101), counted, context).state).toBe('tripped');
  });

  test('stays tripped while anything is held, however much arrives later: only a person knows whose fault it was', () => {
    const tripped: QuarantineBreaker = { state: 'tripped', since: at(86_400) };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.nat(1_000_000), (dead, delivered) => {
        expect(judged(tripped, dead, delivered)).toBe('tripped');
      }),
    );
    expect(judged(tripped, 0, 0)).toBe('closed');
    expect(judged({ state: 'tripped', since: at(3_599) }, 0, 0)).toBe('tripped');
    const unseen = judgeQuarantine(tripped, { dead: 0, delivered: 0, candidates: 0 }, limits, {
      now,
      scanComplete: false,
    });
    expect(unseen.state).toBe('tripped');
  });

  test('what was quarantined before a release does not trip it again', () => {
    expect(quarantinesSince({ state: 'closed', since: at(60) }, limits, now)).toEqual(at(60));
    expect(quarantinesSince(untriedQuarantine, limits, now)).toEqual(at(3_600));
  });
});

describe('holding quarantines back', () => {
  const policy = standardPolicy();
  const closed = { state: 'closed', allowance: Number.POSITIVE_INFINITY } as const;
  const held = (
    changes: Parameters<typeof letter>[0],
    state: Partial<Parameters<typeof holdQuarantines>[2]> = {},
  ) => {
    const judgements = decide(policy, [letter({ class: 'permanent', ...changes })], closed);
    const given = { breaker: 'closed', circuit: 'closed', release: null, ...state } as const;
    return holdQuarantines(judgements, policy, given).map(({ verdict, rule }) => [verdict, rule])[0];
  };

  test('a fault is not charged to an item that died five seconds ago', () => {
    expect(held({ deadForSeconds: 5, ageSeconds: 86_400 })).toEqual(['wait', 'quarantine:too-young']);
    expect(held({ deadForSeconds: 599 })).toEqual(['wait', 'quarantine:too-young']);
    expect(held({ deadForSeconds: 600 })).toEqual(['quarantine', 'permanent']);
    expect(held({ deadForSeconds: 5, class: 'unknown', reason: 'mail_refused', redrives: 3 })).toEqual([
      'wait',
      'quarantine:too-young',
    ]);
  });

  test('tripped, it holds what died of itself and what was redriven too often alike', () => {
    expect(held({}, { breaker: 'tripped' })).toEqual(['wait', 'quarantine:breaker']);
    expect(held({ class: 'unknown', reason: 'mail_refused', redrives: 3 }, { breaker: 'tripped' })).toEqual([
      'wait',
      'quarantine:breaker',
    ]);
  });

  test('what an earlier run began is finished, and the unreadable is kept for a person: no money hangs on either', () => {
    const earlier = { verdict: 'quarantine', rule: 'permanent', applied: false } as const;
    expect(held({ earlier, deadForSeconds: 0 }, { breaker: 'tripped' })).toEqual(['quarantine', 'permanent']);
    expect(held({ class: 'poison', giftState: null, deadForSeconds: 0 }, { breaker: 'tripped' })).toEqual([
      'quarantine',
      'poison',
    ]);
  });

  test('a person lets it go either way, and nothing else', () => {
    expect(held({}, { release: 'redrive' })).toEqual(['redrive', 'quarantine:released']);
    expect(held({}, { release: 'quarantine' })).toEqual(['quarantine', 'permanent']);
    const stuck = { class: 'transient', redrives: 3, reason: 'mail_unreachable' } as const;
    expect(held(stuck)).toEqual(['wait', 'max-redrives']);
    expect(held(stuck, { release: 'redrive' })).toEqual(['redrive', 'quarantine:released']);
    expect(held(stuck, { release: 'quarantine' })).toEqual(['quarantine', 'quarantine:released']);
    expect(held({}, { release: 'redrive', circuit: 'open' })).toEqual(['wait', 'circuit-breaker']);
    expect(held({ class: 'transient', ageSeconds: 5 }, { release: 'quarantine' })).toEqual(['wait', null]);
    expect(held({ leased: true }, { release: 'redrive' })).toEqual(['wait', 'in-delivery']);
  });

  test('while it is tripped, no letter that can be read is newly quarantined, whatever the letters', () => {
    fc.assert(
      fc.property(fc.array(anyLetter, { maxLength: 30 }), (letters) => {
        const ruled = decide(policy, letters, closed);
        const state = { breaker: 'tripped', circuit: 'closed', release: null } as const;
        const after = holdQuarantines(ruled, policy, state);
        expect(candidateKeys(after).size).toBe(0);
        expect(after.map(({ letter: { key } }) => key)).toEqual(letters.map(({ key }) => key));
      }),
    );
  });
});

describe('policies', () => {
  test('one of before stays valid, and has the defaults of the quarantine', () => {
    const { quarantineBreaker: _none, limits: given, ...spec } = defaultPolicy.spec;
    const { quarantineMinAge: _no, ...old } = given ?? {};
    expect(readPolicy({ ...defaultPolicy, spec: { ...spec, limits: old } })).toMatchObject({
      policy: {
        limits: { quarantineMinAgeSeconds: 600 },
        quarantineBreaker: { windowSeconds: 3_600, maxRatio: 0.3, minSamples: 10, maxCount: null },
      },
    });
  });

  test.each([
    [{ quarantineBreaker: { maxRatio: 2 } }, 'spec.quarantineBreaker.maxRatio: 2 must be at most 1'],
    [
      { quarantineBreaker: { ratio: 1 } },
      'spec.quarantineBreaker.ratio: is not a field here; there are window, maxRatio',
    ],
    [{ limits: { quarantineMinAge: 'soon' } }, 'spec.limits.quarantineMinAge: "soon" is no duration'],
  ])('%j is refused with the way out', (changes, expected) => {
    const read = readPolicy({ ...defaultPolicy, spec: { ...defaultPolicy.spec, ...changes } });
    const problems =
      'problems' in read ? read.problems.map(({ path, message }) => `${path}: ${message}`) : [];
    expect(problems[0]).toContain(expected);
  });
});
