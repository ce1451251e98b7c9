import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { MailBreaker, type Pause } from '../../../services/consumer/mail-breaker.ts';
import type { Failure } from '../../../services/domain/failure-classes.ts';

const failure = (reach: Failure['reach'], owner: Failure['owner'] = 'us'): Failure => ({
  class: 'transient',
  owner,
  reach,
  code: `of_${reach}`,
  reason: 'no',
});

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

function startBreaker({ pauses = true } = {}) {
  const told: Pause[] = [];
  const resumed: number[] = [];
  const breaker = new MailBreaker({
    nowMs: () => performance.now(),
    random: () => 1,
    pauses,
    onPause: (pause) => told.push(pause),
    onResume: (pausedMs) => resumed.push(pausedMs),
  });
  const attempt = (what: 'served' | Failure, deliveryId: string = crypto.randomUUID()) => {
    const permit = breaker.admit();
    if (permit === null) return false;
    permit.end(what === 'served' ? { served: true } : { served: false, failure: what, deliveryId });
    return true;
  };
  return { breaker, told, resumed, attempt };
}

const away = {
  class: 'transient',
  owner: 'peer',
  reach: 'all',
  code: 'database_unavailable',
  reason: 'away',
} as const;

describe('consumption is paused by a database that is away, so that no message pays with its receives', () => {
  const claim = (breaker: MailBreaker, by: unknown) => {
    const permit = breaker.admit();
    permit?.claimed(by === null ? null : { failure: away, by });
    permit?.end();
    return permit !== null;
  };

  test('by the second statement in a row, however many messages asked in one', () => {
    const { breaker, told } = startBreaker();
    const first = new Error('lost');
    for (let i = 0; i < 10; i += 1) claim(breaker, first);
    claim(breaker, null);
    for (let i = 0; i < 10; i += 1) claim(breaker, first);
    expect(told).toEqual([]);
    claim(breaker, new Error('lost as well'));
    expect(told).toMatchObject([{ failure: { code: 'database_unavailable' }, nextProbeMs: 1_000 }]);
    expect(claim(breaker, null)).toBe(false);
  });

  test('and goes on when a claim is answered, though nothing is mailed (a wallet)', () => {
    const { breaker, told, resumed } = startBreaker();
    for (const word of ['a', 'b']) claim(breaker, new Error(word));
    jest.advanceTimersByTime(1_000);
    claim(breaker, new Error('still'));
    expect(told).toMatchObject([{}, { failedProbes: 1, nextProbeMs: 2_000 }]);
    jest.advanceTimersByTime(2_000);
    claim(breaker, null);
    expect(resumed).toEqual([3_000]);
  });

  test('but a pause for the sake of the mail server does not end by a claim, nor by a database that goes away in it', () => {
    const { breaker, attempt, resumed } = startBreaker();
    for (let i = 0; i < 2; i += 1) attempt(failure('all'));
    jest.advanceTimersByTime(1_000);
    claim(breaker, new Error('away'));
    jest.advanceTimersByTime(2_000);
    claim(breaker, null);
    expect(resumed).toEqual([]);
    attempt('served');
    expect(resumed).toEqual([3_000]);
  });

  test('and not ended by mails that were under way: they tell of the mail server, not of the database', () => {
    const { breaker, resumed } = startBreaker();
    const underWay = [breaker.admit(), breaker.admit()];
    for (const word of ['a', 'b']) claim(breaker, new Error(word));
    underWay[0]?.end({ served: true });
    underWay[1]?.end({ served: false, failure: failure('one', 'item'), deliveryId: 'dlv_1' });
    expect(resumed).toEqual([]);
    expect(breaker.admit()).toBeNull();
    jest.advanceTimersByTime(1_000);
    claim(breaker, null);
    expect(resumed).toEqual([1_000]);
  });

  test('never where it is switched off', () => {
    const { breaker, told } = startBreaker({ pauses: false });
    for (let i = 0; i < 50; i += 1) claim(breaker, new Error(String(i)));
    expect(told).toEqual([]);
  });
});

describe('consumption is paused', () => {
  test.each([
    ['all', 2],
    ['many', 3],
    ['some', 10],
  ] as const)('when failures of %s follow one another %i times', (reach, times) => {
    const { attempt, told, breaker } = startBreaker();
    for (let i = 1; i < times; i += 1) attempt(failure(reach));
    expect(told).toEqual([]);
    attempt(failure(reach));
    expect(told).toMatchObject([{ failedProbes: 0, nextProbeMs: 1_000, pausedMs: 0 }]);
    expect(breaker.admission.now()).toBe(0);
    expect(attempt('served')).toBe(false);
  });

  test('not by one delivery that is tried often, where it may be its own fault', () => {
    const { attempt, told } = startBreaker();
    for (let i = 0; i < 50; i += 1) attempt(failure('some'), 'dlv_1');
    expect(told).toEqual([]);
  });

  test('by one delivery, where what fails is ours: a quiet house has no other to ask', () => {
    const { attempt, told } = startBreaker();
    for (let i = 0; i < 3; i += 1) attempt(failure('many'), 'dlv_1');
    expect(told).toHaveLength(1);
  });

  test('not while others succeed in between, nor by failures that are the items’', () => {
    const { attempt, told } = startBreaker();
    for (let i = 0; i < 100; i += 1) {
      attempt(failure('many'));
      attempt(failure('many'));
      attempt('served');
    }
    for (let i = 0; i < 100; i += 1) attempt(failure('one', 'item'));
    expect(told).toEqual([]);
  });

  test('never where it is switched off', () => {
    const { attempt, told } = startBreaker({ pauses: false });
    for (let i = 0; i < 100; i += 1) attempt(failure('all'));
    expect(told).toEqual([]);
  });
});

describe('a pause', () => {
  const pausedBreaker = () => {
    const started = startBreaker();
    started.attempt(failure('all'));
    started.attempt(failure('all'));
    return started;
  };

  test('lets one through at growing intervals, five minutes at most, until one succeeds', () => {
    const { breaker, attempt, told, resumed } = pausedBreaker();
    for (let probe = 1; probe <= 12; probe += 1) {
      jest.advanceTimersByTime(told.at(-1)?.nextProbeMs ?? 0);
      expect(breaker.admission.now()).toBe(1);
      expect(attempt(failure('some'))).toBe(true);
      expect(attempt('served')).toBe(false);
    }
    expect(told.map(({ nextProbeMs }) => nextProbeMs / 1_000)).toEqual([
      1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300,
    ]);
    jest.advanceTimersByTime(300_000);
    expect(attempt('served')).toBe(true);
    expect(resumed).toHaveLength(1);
    expect(breaker.admission.now()).toBe(2);
    expect(breaker.pausedForMs).toBeNull();
  });

  test('ends when the server judges a recipient: it serves', () => {
    const { attempt, resumed } = pausedBreaker();
    jest.advanceTimersByTime(1_000);
    attempt(failure('one', 'item'));
    expect(resumed).toHaveLength(1);
  });

  test('ends when a mail that was under way is taken', () => {
    const { breaker, attempt, resumed } = startBreaker();
    const permit = breaker.admit();
    attempt(failure('all'));
    attempt(failure('all'));
    expect(permit?.revoked.aborted).toBe(true);
    permit?.end({ served: true });
    expect(resumed).toHaveLength(1);
  });

  test('does not end by what was never mailed, and the next one is the probe', () => {
    const { breaker, attempt, resumed } = pausedBreaker();
    jest.advanceTimersByTime(1_000);
    const permit = breaker.admit();
    expect(permit?.revoked.aborted).toBe(false);
    permit?.end();
    expect(resumed).toEqual([]);
    expect(attempt('served')).toBe(true);
    expect(resumed).toHaveLength(1);
  });

  test('ends slowly: one mail more at once for each that is taken, one alone after a failure', () => {
    const { breaker, attempt } = pausedBreaker();
    jest.advanceTimersByTime(1_000);
    attempt('served');
    const permits = [breaker.admit(), breaker.admit()];
    expect(breaker.admission.now()).toBe(0);
    for (const permit of permits) permit?.end({ served: true });
    expect(breaker.admission.now()).toBe(4);
    attempt(failure('some'));
    expect(breaker.admission.now()).toBe(1);
    for (let taken = 0; taken < 63; taken += 1) attempt('served');
    expect(breaker.admission.now()).toBe(Number.POSITIVE_INFINITY);
  });

  test('is over after a minute, though mails hang; those that wait to receive are told', async () => {
    const { breaker, attempt } = pausedBreaker();
    jest.advanceTimersByTime(1_000);
    attempt('served');
    const [first] = [breaker.admit(), breaker.admit()];
    const stopping = new AbortController();
    const allowed = breaker.admission.next(stopping.signal);
    first?.end();
    expect(await allowed).toBe(2);
    breaker.admit();
    breaker.admit();
    expect(breaker.admission.now()).toBe(0);
    jest.advanceTimersByTime(60_000);
    expect(breaker.admission.now()).toBe(Number.POSITIVE_INFINITY);
  });

  test('holds those who ask to receive until a probe is due, and lets a shutdown go', async () => {
    const { breaker } = pausedBreaker();
    const stopping = new AbortController();
    const allowed = breaker.admission.next(stopping.signal);
    await jest.advanceTimersByTimeAsync(1_010);
    expect(await allowed).toBe(1);
    breaker.admit();
    const held = breaker.admission.next(stopping.signal);
    stopping.abort();
    expect(await held).toBe(0);
  });
});
