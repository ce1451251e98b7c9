import { describe, expect, jest, test } from '@jest/globals';
import { type Depth, StarvationWatch } from '../../../services/queue/starvation-watch.ts';

function setUp(depths: (Depth | Error)[]) {
  let nowMs = 0;
  const askDepth = jest.fn(async () => {
    const depth = depths.shift() ?? { visible: 0, inFlight: 0 };
    if (depth instanceof Error) throw depth;
    return depth;
  });
  const onStarved = jest.fn();
  const onError = jest.fn();
  const watch = new StarvationWatch({
    emptyReceivesBeforeCheck: 3,
    checkIntervalMs: 60_000,
    now: () => nowMs,
    askDepth,
    onStarved,
    onError,
  });
  /** Empty receives, 20 s apart as an idle poll makes them. */
  const empties = async (count: number) => {
    for (let i = 0; i < count; i += 1) {
      nowMs += 20_000;
      watch.observe(0);
      await new Promise(setImmediate);
    }
  };
  return { watch, askDepth, onStarved, onError, empties };
}

const full = { visible: 500, inFlight: 120_000 };

describe('StarvationWatch', () => {
  test('P15: two answers in a row that the queue has messages, with only empty receives between, raise the alarm', async () => {
    const { watch, onStarved, empties } = setUp([full, full]);
    await empties(5);
    expect(watch.starved).toBe(false);
    await empties(1);
    expect(onStarved).toHaveBeenCalledWith({ ...full, emptyReceives: 6 });
    expect(watch.starved).toBe(true);
  });

  test('P15: the alarm repeats while the state lasts, and ends with the first message', async () => {
    const { watch, onStarved, empties } = setUp([full, full, full, full]);
    await empties(12);
    expect(onStarved).toHaveBeenCalledTimes(3);
    watch.observe(1);
    expect(watch.starved).toBe(false);
  });

  test('an approximate count that was merely late raises nothing', async () => {
    const { onStarved, empties } = setUp([full, { visible: 0, inFlight: 0 }, full]);
    await empties(9);
    expect(onStarved).not.toHaveBeenCalled();
  });

  test('a busy consumer never asks; an idle one asks once a minute at most', async () => {
    const { watch, askDepth, empties } = setUp([]);
    for (let i = 0; i < 100; i += 1) watch.observe(10);
    expect(askDepth).not.toHaveBeenCalled();
    await empties(30);
    expect(askDepth).toHaveBeenCalledTimes(10);
  });

  test('a question that fails is reported and asked again later', async () => {
    const { onError, onStarved, empties } = setUp([new Error('no network'), full, full]);
    await empties(9);
    expect(onError).toHaveBeenCalledTimes(1);
    expect(onStarved).toHaveBeenCalledTimes(1);
  });
});
