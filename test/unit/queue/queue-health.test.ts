import { describe, expect, test } from '@jest/globals';
import { type HealthInput, judgeHealth, stallLimitMs } from '../../../services/queue/queue-health.ts';

const limit = stallLimitMs(20, 60_000, 1_000);
const sound: HealthInput = {
  state: 'running',
  reachable: true,
  inFlight: 3,
  wedged: 0,
  maxInFlight: 10,
  outlasting: 0,
  nowMs: 1_000_000,
  receiveEndedAtMs: 1_000_000,
  handlingEndedAtMs: 0,
  stallLimitMs: limit,
};

describe('judgeHealth', () => {
  test('an idle consumer is healthy: its polls end', () => {
    expect(judgeHealth({ ...sound, inFlight: 0, receiveEndedAtMs: 1_000_000 - 20_000 }).ok).toBe(true);
  });

  test('a full window in which handlers end is healthy, though nothing is received', () => {
    expect(judgeHealth({ ...sound, receiveEndedAtMs: 0, handlingEndedAtMs: 1_000_000 - 1_000 }).ok).toBe(
      true,
    );
  });

  test('a window full of handlers that wait to record what can not be undone is no stall: a restart would do it again', () => {
    const waiting = { ...sound, inFlight: 10, outlasting: 10, receiveEndedAtMs: 0 };
    expect(judgeHealth(waiting).ok).toBe(true);
    expect(judgeHealth({ ...waiting, outlasting: 0 }).ok).toBe(false);
  });

  test('neither receive nor handling for longer than either may take is a stuck loop', () => {
    const health = judgeHealth({ ...sound, receiveEndedAtMs: 1_000_000 - limit - 1 });
    expect(health).toMatchObject({ ok: false, msSinceProgress: limit + 1 });
    expect(health.reason).toContain('neither receive nor handler ended');
  });

  test('a queue that cannot be reached is no reason to restart, only to be not ready', () => {
    expect(judgeHealth({ ...sound, reachable: false })).toMatchObject({ ok: true, reachable: false });
  });

  test('P2: a whole window of handlers that never came back is reported', () => {
    expect(judgeHealth({ ...sound, wedged: 9 }).ok).toBe(true);
    expect(judgeHealth({ ...sound, wedged: 10 })).toMatchObject({ ok: false, wedged: 10 });
  });

  test.each(['new', 'stopping', 'stopped'] as const)('a consumer that is %s is not judged', (state) => {
    expect(judgeHealth({ ...sound, state, receiveEndedAtMs: 0, wedged: 99 }).ok).toBe(true);
  });

  test('the limit covers a long poll after the longest pause, and the longest handler', () => {
    expect(stallLimitMs(20, 1_000, 0)).toBeGreaterThan(20_000 + 5_000 + 30_000);
    expect(stallLimitMs(20, 600_000, 5_000)).toBeGreaterThan(605_000);
  });
});
