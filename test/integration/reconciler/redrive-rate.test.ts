import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { buryGifts, contents, deadGifts, openScene, policy, run, type Scene } from './setup.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.close());

const ratePerSecond = 40;
/** half a second's worth goes at once; the rest takes 11 s */
const burst = ratePerSecond / 2;
const count = burst + 11 * ratePerSecond;

/** When each message came to SQS first, in milliseconds and in order. */
function watchSends(): () => number[] {
  const atMs = new Map<string, number>();
  scene.proxy.inject({
    operation: 'SendMessageBatch',
    fault: (exchange) => {
      for (const { MessageBody: body } of exchange.body()['Entries'] as { MessageBody: string }[]) {
        if (!atMs.has(body)) atMs.set(body, performance.now());
      }
      return 'pass-on';
    },
  });
  return () => [...atMs.values()];
}

/** Most messages in any window of this length. */
function mostWithin(windowMs: number, sends: readonly number[]): number {
  return Math.max(
    ...sends.map((fromMs) => sends.filter((atMs) => atMs >= fromMs && atMs < fromMs + windowMs).length),
  );
}

test('P42: a real redrive keeps to its rate within 10 %, over any 10 s and over the run, and does not dawdle', async () => {
  const ids = await deadGifts(scene, count);
  await buryGifts(scene, ids);
  const sends = watchSends();
  const report = await run(scene, policy({ limits: { ratePerSecond } }));
  expect(report).toMatchObject({ outcome: 'converged', counts: { redriven: count } });
  expect((await contents(scene, 'queue')).ready).toEqual(ids.toSorted());
  expect((await contents(scene, 'dead-letters')).ready).toEqual([]);

  // No stall of the machine can break this bound: one batch under way, one burst saved up, and 10 s at the rate.
  expect(mostWithin(10_000, sends())).toBeLessThanOrEqual(1.1 * 10 * ratePerSecond);
  const [first = 0, last = 0] = [sends().at(0), sends().at(-1)];
  const seconds = (last - first) / 1_000;
  const byPolicy = (count - burst) / ratePerSecond;
  expect(seconds).toBeGreaterThanOrEqual(0.9 * byPolicy);
  // A stall of less than half a second is caught up with; a machine that is busy with others may have longer ones.
  expect(seconds).toBeLessThanOrEqual(1.5 * byPolicy);
}, 40_000);
