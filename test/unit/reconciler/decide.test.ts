import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { movedBySqs } from '../../../services/reconciler/dead-letter.ts';
import { decide } from '../../../services/reconciler/decide.ts';
import { matchRule } from '../../../services/reconciler/policy.ts';
import { untriedQuarantine } from '../../../services/reconciler/quarantine-breaker.ts';
import type { LetterResult } from '../../../services/reconciler/run.ts';
import { countResults, judgeRun } from '../../../services/reconciler/run-report.ts';
import { anyLetter, anyRule, letter, standardPolicy } from './letters.ts';

const closed = { state: 'closed', allowance: Number.POSITIVE_INFINITY } as const;
const verdictOf = (changes: Parameters<typeof letter>[0]) => {
  const [judgement] = decide(standardPolicy(), [letter(changes)], closed);
  return [judgement?.verdict, judgement?.rule];
};

describe('the default policy', () => {
  test.each([
    ['poison', { class: 'poison', giftState: null }, ['quarantine', 'poison']],
    ['a gift that arrived after all', { giftState: 'delivered' }, ['discard', 'settled']],
    ['a gift that was cancelled', { class: 'permanent', giftState: 'cancelled' }, ['discard', 'settled']],
    ['a transient failure', { class: 'transient' }, ['redrive', 'transient']],
    ['one that SQS moved by itself', { class: 'unknown' }, ['redrive', 'transient']],
    ['one that is too young', { class: 'transient', ageSeconds: 299 }, ['wait', null]],
    ['one that can never succeed', { class: 'permanent' }, ['quarantine', 'permanent']],
    [
      'one that was redriven often enough',
      { redrives: 3, reason: 'mailbox_unavailable' },
      ['quarantine', 'max-redrives'],
    ],
    [
      'one that was redriven often enough, for a fault of the mail server',
      { redrives: 3, reason: 'mail_unreachable' },
      ['wait', 'max-redrives'],
    ],
    [
      'one that SQS moved for its receives as often, whose gift failed of the mail server',
      { redrives: 3, class: 'unknown', reason: movedBySqs, failureCode: 'mail_policy_refused' },
      ['wait', 'max-redrives'],
    ],
    [
      'one that SQS moved for its receives as often, whose gift never failed',
      { redrives: 3, class: 'unknown', reason: movedBySqs, failureClass: null, failureCode: null },
      ['wait', 'max-redrives'],
    ],
    [
      'one that SQS moved for its receives as often, whose gift failed of its recipient',
      { redrives: 3, class: 'unknown', reason: movedBySqs, failureCode: 'mailbox_unavailable' },
      ['quarantine', 'max-redrives'],
    ],
    ['one whose gift is with a worker', { leased: true }, ['wait', 'in-delivery']],
    ['a settled gift, though with a worker', { leased: true, giftState: 'claimed' }, ['discard', 'settled']],
    [
      'one that was sent, not deleted',
      { earlier: { verdict: 'redrive', rule: 'transient', applied: true } },
      ['redrive', 'transient'],
    ],
    [
      'a quarantine cut short, of a class that is redriven',
      { earlier: { verdict: 'quarantine', rule: 'max-redrives', applied: false } },
      ['quarantine', 'max-redrives'],
    ],
  ] as const)('%s', (_what, changes, expected) => {
    expect(verdictOf(changes)).toEqual(expected);
  });
});

describe('old and new side by side: a message of another release', () => {
  const foreign = {
    foreign: true,
    class: 'unknown',
    reason: 'unknown_message_type',
    content: null,
    giftState: null,
  } as const;

  test('waits, however often it was redriven and whatever a rule for its class says', () => {
    expect(verdictOf(foreign)).toEqual(['wait', 'other-release']);
    expect(verdictOf({ ...foreign, redrives: 9 })).toEqual(['wait', 'other-release']);
    const rules = [{ name: 'all', match: { classes: ['unknown' as const] }, verdict: 'quarantine' as const }];
    const [judgement] = decide(standardPolicy({ rules }), [letter(foreign)], closed);
    expect(judgement).toMatchObject({ verdict: 'wait', rule: 'other-release' });
  });

  test('is judged by a rule that a person wrote for its very reason', () => {
    const rules = [
      { name: 'mine', match: { reasons: ['unknown_message_type'] }, verdict: 'quarantine' as const },
    ];
    const [judgement] = decide(standardPolicy({ rules }), [letter(foreign)], closed);
    expect(judgement).toMatchObject({ verdict: 'quarantine', rule: 'mine' });
  });

  test('needs a person when no release that knows it has come within a day', () => {
    const outcomeAt = (ageSeconds: number) => {
      const judgements = decide(standardPolicy(), [letter({ ...foreign, ageSeconds })], closed);
      const results = judgements.map((judgement): LetterResult => ({ ...judgement, outcome: 'waits' }));
      return judgeRun({
        results,
        depth: 1,
        scanComplete: true,
        circuit: { state: 'closed' } as never,
        quarantine: untriedQuarantine,
        parked: 0,
        stuck: null,
        sweep: null,
        stoppedBecause: null,
      });
    };
    expect(outcomeAt(86_400).outcome).toBe('converged');
    expect(outcomeAt(86_401)).toMatchObject({
      outcome: 'needs_person',
      reasons: [expect.stringContaining('another release')],
    });
  });
});

describe('properties', () => {
  const rules = fc.array(anyRule, { maxLength: 6 });
  const letters = fc.array(anyLetter, { maxLength: 30 });

  test('the first rule that matches wins, and none before it matches', () => {
    fc.assert(
      fc.property(rules, anyLetter, (list, seen) => {
        const facts = { ...seen, type: 'gift.deliver' as const };
        const winner = matchRule(list, facts);
        const index = winner === null ? list.length : list.indexOf(winner);
        expect(list.slice(0, index).filter((rule) => matchRule([rule], facts) !== null)).toEqual([]);
        if (winner !== null) expect(matchRule([winner], facts)).toBe(winner);
      }),
    );
  });

  test('every message gets exactly one verdict, in order; what no rule matches waits', () => {
    fc.assert(
      fc.property(rules, letters, (list, seen) => {
        const policy = standardPolicy({ rules: list });
        const judgements = decide(policy, seen, closed);
        expect(judgements.map((judgement) => judgement.letter)).toEqual(seen);
        for (const { verdict, rule, deleteOnly, letter: judged } of judgements) {
          if (rule === null && !deleteOnly && judged.earlier === null) expect(verdict).toBe('wait');
          if (deleteOnly) expect(judged.earlier?.applied).toBe(true);
        }
      }),
    );
  });

  test('caps hold: never more redrives than the circuit allows, none beyond maxRedrives but as a probe', () => {
    const states = fc.constantFrom('closed' as const, 'half_open' as const, 'open' as const);
    fc.assert(
      fc.property(rules, letters, fc.nat(10), fc.nat(5), states, (list, seen, probes, maxRedrives, state) => {
        const base = standardPolicy({ rules: list });
        const policy = { ...base, limits: { ...base.limits, maxRedrives } };
        const allowance = { closed: Number.POSITIVE_INFINITY, half_open: probes, open: 0 }[state];
        const judgements = decide(policy, seen, { state, allowance });
        const redriven = judgements.filter(({ verdict, deleteOnly }) => verdict === 'redrive' && !deleteOnly);
        expect(redriven.length).toBeLessThanOrEqual(allowance);
        for (const { letter: judged } of redriven) {
          if (state === 'closed') expect(judged.redrives).toBeLessThan(maxRedrives);
        }
        for (const { verdict, deleteOnly, rule, letter: judged } of judgements) {
          if (state !== 'closed' && judged.earlier === null) expect(rule).not.toBe('max-redrives');
          if (judged.leased && !deleteOnly && judged.earlier === null) {
            expect(['wait', 'discard']).toContain(verdict);
          }
        }
      }),
    );
  });

  test('P43: planned and applied, the same judgements give the same counts', () => {
    fc.assert(
      fc.property(rules, letters, fc.nat(10), (list, seen, allowance) => {
        const judgements = decide(standardPolicy({ rules: list }), seen, { state: 'half_open', allowance });
        const counts = (results: LetterResult[]) =>
          countResults({
            results,
            depth: seen.length,
            scanComplete: true,
            circuit: { state: 'closed', since: new Date(0) },
            quarantine: untriedQuarantine,
            parked: 0,
            stuck: null,
            sweep: null,
            stoppedBecause: null,
          });
        const planned = counts(judgements.map((judgement) => ({ ...judgement, outcome: 'planned' })));
        const applied = counts(
          judgements.map((judgement) => ({
            ...judgement,
            outcome: judgement.verdict === 'wait' ? 'waits' : 'applied',
          })),
        );
        expect(planned).toEqual(applied);
        const { redriven, quarantined, discarded, waiting, finished } = planned;
        expect(redriven + quarantined + discarded + waiting + finished).toBe(seen.length);
      }),
    );
  });

  test('P39: archived is what expires within 24 h, whatever its verdict', () => {
    fc.assert(
      fc.property(rules, anyLetter, (list, seen) => {
        const [judgement] = decide(standardPolicy({ rules: list }), [seen], closed);
        const near = seen.expiresInSeconds !== null && seen.expiresInSeconds <= 86_400;
        expect(judgement?.archive).toBe(near && judgement?.deleteOnly === false);
      }),
    );
  });
});

describe('the circuit and maxRedrives', () => {
  const often = () => letter({ redrives: 3, reason: 'mailbox_unavailable' });

  test.each(['open', 'half_open'] as const)(
    'while the circuit is %s, nothing is failed for its redrives',
    (state) => {
      const judgements = decide(standardPolicy(), [often(), often()], { state, allowance: 0 });
      expect(judgements.map(({ verdict, rule }) => [verdict, rule])).toEqual([
        ['wait', 'circuit-breaker'],
        ['wait', 'circuit-breaker'],
      ]);
    },
  );

  test('probes are those probed least: one that always dies does not keep the circuit open for all', () => {
    const letters = [
      letter({ pardoned: 4 }),
      letter({ pardoned: 0 }),
      letter({ pardoned: 4 }),
      letter({ pardoned: 1 }),
    ];
    const judgements = decide(standardPolicy(), letters, { state: 'half_open', allowance: 2 });
    expect(judgements.map(({ verdict }) => verdict)).toEqual(['wait', 'redrive', 'wait', 'redrive']);
  });
});
