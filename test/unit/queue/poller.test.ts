import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { anyNumber } from '../../../services/queue/consumer-options.ts';
import { Poller } from '../../../services/queue/poller.ts';
import { ReceiveWindow } from '../../../services/queue/receive-window.ts';

type Answer = { afterMs: number; count?: number };

/** A poller before an endpoint whose every answer is given; time is the test's. */
function startPoller(answerTo: (receive: number) => Answer, { maxReceivers = 5, waitTimeSeconds = 20 } = {}) {
  const window = new ReceiveWindow(50, 10);
  const asked: number[] = [];
  const tooEarly: number[] = [];
  const poller = new Poller({
    admission: anyNumber,
    window,
    batch: 10,
    maxReceivers,
    waitTimeSeconds,
    roomPatienceMs: 250,
    random: () => 0.999,
    receive: async () => {
      const { afterMs, count = 0 } = answerTo(asked.push(performance.now()));
      if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
      return Array.from({ length: count }, () => ({}));
    },
    onReceived: (messages) => {
      for (const _message of messages) window.finish();
    },
    onEmpty: (empty) => tooEarly.push(empty.tooEarly),
    onError: (error) => {
      throw error;
    },
  });
  poller.start();
  return { poller, asked, tooEarly };
}

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

async function passes(ms: number): Promise<void> {
  await jest.advanceTimersByTimeAsync(ms);
}

async function stop({ poller }: ReturnType<typeof startPoller>): Promise<void> {
  const stopped = poller.stop();
  await passes(60_000);
  await stopped;
}

describe('empty receives that come at once are paced', () => {
  test('an endpoint that ignores the wait is asked a few times, then every two seconds', async () => {
    const run = startPoller(() => ({ afterMs: 0 }));
    await passes(8_000);
    expect(run.asked.length).toBeLessThanOrEqual(9);
    await passes(60_000);
    expect(run.asked.length).toBeLessThanOrEqual(9 + 31);
    expect(run.asked.length).toBeGreaterThanOrEqual(9 + 25);
    await stop(run);
  });

  test('one that waits for a part only is paced by what is missing', async () => {
    const run = startPoller(() => ({ afterMs: 1_000 }));
    await passes(60_000);
    expect(run.asked.length).toBeLessThanOrEqual(36);
    await stop(run);
  });

  test('one that waits as told is asked again at once', async () => {
    const run = startPoller(() => ({ afterMs: 20_000 }));
    await passes(200_000);
    expect(run.asked.length).toBe(11);
    expect(run.tooEarly).toEqual(Array.from({ length: 10 }, () => 0));
    await stop(run);
  });

  test('real traffic is not slowed: what brings a message ends the pace', async () => {
    const run = startPoller((receive) => ({ afterMs: 0, count: receive > 5 && receive <= 25 ? 1 : 0 }));
    await passes(1_500);
    expect(run.asked.length).toBe(5);
    await passes(1_600);
    // Twenty receives that bring one each, and the first empty one after them, follow without a pause.
    expect(run.asked.length).toBeGreaterThanOrEqual(26);
    expect(run.tooEarly.slice(0, 6)).toEqual([1, 2, 3, 4, 5, 1]);
    await stop(run);
  });

  test('a stop does not wait for the pace', async () => {
    const run = startPoller(() => ({ afterMs: 0 }));
    await passes(20_000);
    const stopped = run.poller.stop();
    await passes(0);
    await stopped;
  });
});
