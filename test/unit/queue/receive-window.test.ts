import { describe, expect, test } from '@jest/globals';
import { ReceiveWindow } from '../../../services/queue/receive-window.ts';

const never = new AbortController().signal;

describe('ReceiveWindow', () => {
  test('waits for room for a whole batch rather than take crumbs', async () => {
    const window = new ReceiveWindow(20, 10);
    expect(await window.take(10, 60_000, never)).toBe(10);
    expect(await window.take(10, 60_000, never)).toBe(10);
    let taken: number | undefined;
    const waiting = window.take(10, 60_000, never).then((count) => {
      taken = count;
    });
    window.giveBack(9);
    await new Promise(setImmediate);
    expect(taken).toBeUndefined();
    window.giveBack(1);
    await waiting;
    expect(taken).toBe(10);
  });

  test('takes what there is when its patience is spent: one long handler does not idle the rest', async () => {
    const window = new ReceiveWindow(10, 10);
    expect(window.tryTake(3)).toBe(true);
    expect(await window.take(10, 20, never)).toBe(7);
  });

  test('with patience spent and no room it takes the first slot that comes', async () => {
    const window = new ReceiveWindow(10, 10);
    expect(window.tryTake(10)).toBe(true);
    const waiting = window.take(10, 5, never);
    setTimeout(() => window.giveBack(1), 30);
    expect(await waiting).toBe(1);
  });

  test('tryTake takes all or nothing', () => {
    const window = new ReceiveWindow(15, 10);
    expect(window.tryTake(10)).toBe(true);
    expect(window.tryTake(10)).toBe(false);
    expect(window.free).toBe(5);
  });

  test('an abort ends the wait with nothing taken', async () => {
    const window = new ReceiveWindow(10, 10);
    window.tryTake(10);
    const controller = new AbortController();
    const waiting = window.take(10, 60_000, controller.signal);
    controller.abort();
    expect(await waiting).toBe(0);
    expect(window.free).toBe(0);
  });

  test('messages that came unasked count, and never make the room negative', () => {
    const window = new ReceiveWindow(10, 10);
    window.overfill(12);
    expect(window.free).toBe(0);
    window.giveBack(2);
    expect(window.free).toBe(0);
    window.giveBack(1);
    expect(window.free).toBe(1);
  });

  test('is ahead of room by two batches at most, and only while messages finish fast', () => {
    const window = new ReceiveWindow(100, 10);
    window.tryTake(100);
    for (let i = 0; i < 1_000; i += 1) {
      window.finish();
      window.tryTake(1);
    }
    window.tryTake(window.free);
    expect(window.free).toBe(0);
    // At that pace twenty more than 100 were let in; the pace fades, and with it the room ahead.
    window.giveBack(120);
    expect(window.free).toBeGreaterThanOrEqual(100);
    expect(window.free).toBeLessThanOrEqual(120);
  });

  test('a slow pace gives nothing ahead', () => {
    const window = new ReceiveWindow(100, 10);
    window.tryTake(100);
    window.finish();
    expect(window.free).toBe(1);
  });
});
