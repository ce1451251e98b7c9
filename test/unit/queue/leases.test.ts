import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { EntryResult } from '../../../services/queue/batch-call.ts';
import { type Extension, type Lease, LeaseKeeper } from '../../../services/queue/leases.ts';
import { toQueueMessage } from '../../../services/queue/message.ts';

const hourMs = 3_600_000;
let keeper: LeaseKeeper | undefined;
afterEach(() => keeper?.stop());

function setUp(answer: (extension: Extension) => EntryResult<unknown> | Promise<EntryResult<unknown>>) {
  const clock = { nowMs: 0 };
  const calls: Extension[][] = [];
  const onLost = jest.fn<(lease: Lease, reason: string) => void>();
  const onError = jest.fn<(lease: Lease, code: string, cause: unknown) => void>();
  const created = new LeaseKeeper({
    visibilityTimeoutSeconds: 30,
    now: () => clock.nowMs,
    extend: async (extensions) => {
      calls.push([...extensions]);
      return Promise.all(extensions.map(answer));
    },
    onLost,
    onError,
  });
  keeper = created;
  const add = (id = 'm') => created.add(toQueueMessage({ MessageId: id, ReceiptHandle: id }, 0));
  /** Moves the clock and sweeps, as the timer would. */
  const at = async (nowMs: number) => {
    clock.nowMs = nowMs;
    created.sweep();
    await new Promise(setImmediate);
  };
  return { keeper: created, calls, onLost, onError, add, at };
}

const ok = (): EntryResult<unknown> => ({ ok: true, value: {} });
const refused = (code: string) => (): EntryResult<unknown> => ({ ok: false, code, retryable: true });

describe('LeaseKeeper', () => {
  test('extends at half time, in batches of ten, with one sweep for all', async () => {
    const { calls, add, at } = setUp(ok);
    const leases = Array.from({ length: 25 }, (_, index) => add(`m${index}`));
    await at(10_000);
    expect(calls).toEqual([]);
    await at(15_000);
    expect(calls.map((batch) => batch.length)).toEqual([10, 10, 5]);
    expect(leases.every((lease) => lease.untilMs === 45_000)).toBe(true);
  });

  test('P10: a lease that could not be extended is lost the moment it ends, not at the next sweep', async () => {
    jest.useFakeTimers({ now: 0 });
    try {
      const onLost = jest.fn();
      keeper = new LeaseKeeper({
        visibilityTimeoutSeconds: 30,
        now: () => Date.now(),
        extend: async (extensions) => extensions.map(refused('InternalError')),
        onLost,
        onError: () => undefined,
      });
      keeper.start();
      await jest.advanceTimersByTimeAsync(1_700);
      const { untilMs } = keeper.add(toQueueMessage({ MessageId: 'm', ReceiptHandle: 'm' }, 0));
      await jest.advanceTimersByTimeAsync(untilMs - 1 - Date.now());
      expect(onLost).not.toHaveBeenCalled();
      await jest.advanceTimersByTimeAsync(1);
      expect(onLost).toHaveBeenCalledTimes(1);
    } finally {
      keeper?.stop();
      jest.useRealTimers();
    }
  });

  test.each(['ReceiptHandleIsInvalid', 'AWS.SimpleQueueService.MessageNotInflight', 'InvalidParameterValue'])(
    'P10: %s means that the lease is lost at once',
    async (code) => {
      const { onLost, add, at } = setUp(refused(code));
      const lease = add();
      await at(16_000);
      expect(onLost).toHaveBeenCalledWith(lease, code);
      expect(lease.untilMs).toBe(Number.NEGATIVE_INFINITY);
    },
  );

  test('P10: without a successful extension the lease is lost by our own clock, before SQS shows the message again', async () => {
    const { onLost, onError, add, at } = setUp(refused('ServiceUnavailable'));
    add();
    for (const nowMs of [15_000, 20_000, 25_000, 28_900]) await at(nowMs);
    expect(onError).toHaveBeenCalledTimes(4);
    expect(onLost).not.toHaveBeenCalled();
    await at(29_000);
    expect(onLost).toHaveBeenCalledTimes(1);
  });

  test('P10: an extension that never answers does not keep a lease alive', async () => {
    const { onLost, add, at } = setUp(() => new Promise(() => undefined));
    add();
    await at(15_000);
    await at(29_500);
    expect(onLost).toHaveBeenCalledTimes(1);
  });

  test('an extension counts from when it was sent, not from when it was answered', async () => {
    const gate = Promise.withResolvers<EntryResult<unknown>>();
    const { add, at } = setUp(() => gate.promise);
    const lease = add();
    await at(15_000);
    await at(20_000);
    gate.resolve(ok());
    await lease.extending;
    expect(lease.untilMs).toBe(45_000);
  });

  test('P11: nothing is extended after remove, and a late refusal concerns nobody', async () => {
    const gate = Promise.withResolvers<EntryResult<unknown>>();
    const { keeper: leases, calls, onLost, onError, add, at } = setUp(() => gate.promise);
    const lease = add();
    await at(15_000);
    const extending = lease.extending;
    leases.remove(lease);
    gate.resolve(refused('ReceiptHandleIsInvalid')());
    await extending;
    await at(60_000);
    expect(calls).toHaveLength(1);
    expect(onLost).not.toHaveBeenCalled();
    expect(onError).not.toHaveBeenCalled();
  });

  test('P11: an extension that rejects is reported per message and leaves no unhandled rejection', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const { onError, add, at } = setUp(() => Promise.reject(new Error('socket hang up')));
    add('a');
    add('b');
    await at(15_000);
    await at(16_000);
    process.off('unhandledRejection', unhandled);
    expect(onError).toHaveBeenCalledTimes(4);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test('P11: extension stops before 12 h, and the lease then ends by our clock', async () => {
    const { calls, onLost, add, at } = setUp(ok);
    add();
    let nowMs = 0;
    while (onLost.mock.calls.length === 0 && nowMs < 13 * hourMs) {
      nowMs += 5_000;
      await at(nowMs);
    }
    const ends = calls.map((batch, index) => ({ seconds: batch[0]?.seconds ?? 0, index }));
    expect(Math.min(...ends.map((end) => end.seconds))).toBeGreaterThan(0);
    expect(nowMs).toBeGreaterThan(11.99 * hourMs);
    expect(nowMs).toBeLessThan(12 * hourMs);
    expect(onLost).toHaveBeenCalledTimes(1);
  });
});
