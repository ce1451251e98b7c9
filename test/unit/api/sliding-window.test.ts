import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SlidingWindows } from '../../../services/api/sliding-window.ts';

const windows = (now: { ms: number }, options: { quota?: number; maxKeys?: number } = {}) =>
  new SlidingWindows({ quota: 5, windowMs: 60_000, maxKeys: 100, nowMs: () => now.ms, ...options });

test('P47: no window of any position holds more than the quota, and none is refused while a slot more holds fewer', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 20, maxLength: 200 });
  fc.assert(
    fc.property(gaps, (steps) => {
      const now = { ms: 0 };
      const own = windows(now);
      const granted: number[] = [];
      for (const step of steps) {
        now.ms += step;
        const within = (ms: number) => granted.filter((at) => at > now.ms - ms).length;
        if (own.take('a').granted === 1) {
          granted.push(now.ms);
          expect(within(60_000)).toBeLessThanOrEqual(5);
        } else expect(within(61_001)).toBeGreaterThanOrEqual(5);
      }
    }),
  );
});

test('whoever waits for as long as they are told gets a point then', () => {
  const now = { ms: 1_234 };
  const own = windows(now);
  for (let i = 0; i < 6; i += 1) {
    own.take('a');
    now.ms += 777;
  }
  const refused = own.take('a');
  expect(refused.granted).toBe(0);
  now.ms += refused.reset_ms;
  expect(own.take('a').granted).toBe(1);
});

test('memory does not grow with the callers: those not seen for longest are forgotten', () => {
  const now = { ms: 0 };
  const own = windows(now, { quota: 1, maxKeys: 2 });
  for (const key of ['a', 'b', 'c']) expect(own.take(key).granted).toBe(1);
  expect([own.look('a').used, own.look('b').used, own.look('c').used]).toEqual([0, 1, 1]);
});
