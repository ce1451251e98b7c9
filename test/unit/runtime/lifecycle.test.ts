import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createLifecycle } from '../../../services/runtime/lifecycle.ts';
import type { Log } from '../../../services/runtime/process.ts';

/** A process that takes signals and writes down how it was left. */
class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

function setUp(graceSeconds = 25) {
  const host = new FakeProcess();
  const lines: [string, string, Readonly<Record<string, unknown>>][] = [];
  const at =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void lines.push([level, message, fields]);
  const log: Log = { info: at('info'), warn: at('warn'), error: at('error') };
  const lifecycle = createLifecycle({ process: host, log, graceSeconds });
  const stopped: string[] = [];
  const stop = (name: string) => lifecycle.onShutdown(name, () => stopped.push(name));
  return { host, lines, lifecycle, stopped, stop };
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Never settles: a server whose client keeps its connection open. */
const hang = () => new Promise<never>(() => undefined);

describe('a shutdown', () => {
  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'])(
    '%s stops what was started in reverse order, each after the one before, and exits 0',
    async (signal) => {
      const { host, lifecycle, stopped, stop } = setUp();
      stop('logs');
      lifecycle.onShutdown('pool', async () => {
        await Promise.resolve();
        stopped.push('pool');
      });
      stop('http');
      host.emit(signal);
      expect(lifecycle.signal.aborted).toBe(true);
      expect(await lifecycle.finished).toBe(0);
      expect(stopped).toEqual(['http', 'pool', 'logs']);
      expect(host.exits).toEqual([0]);
    },
  );

  test('happens once, however often it is asked for, and keeps the worst exit code', async () => {
    const { host, lifecycle, stopped, stop } = setUp();
    stop('pool');
    const codes = await Promise.all([
      lifecycle.shutdown('finished', 0),
      lifecycle.shutdown('again', 2),
      lifecycle.shutdown('third', 0),
    ]);
    expect(codes).toEqual([2, 2, 2]);
    expect(stopped).toEqual(['pool']);
    expect(host.exits).toEqual([2]);
  });

  test('a part that hangs costs its own time-out; the others are stopped, and the exit code says so', async () => {
    const { host, lines, lifecycle, stopped, stop } = setUp();
    stop('pool');
    lifecycle.onShutdown('http', hang, 5_000);
    const finished = lifecycle.shutdown('SIGTERM');
    await jest.advanceTimersByTimeAsync(4_999);
    expect(stopped).toEqual([]);
    await jest.advanceTimersByTimeAsync(1);
    expect(await finished).toBe(1);
    expect(stopped).toEqual(['pool']);
    expect(host.exits).toEqual([1]);
    expect(lines).toContainEqual([
      'error',
      'a part did not stop in time',
      expect.objectContaining({ step: 'http', timeout_ms: 5_000 }),
    ]);
  });

  test('all of it together stays within the grace period', async () => {
    const { host, lifecycle, stopped, stop } = setUp(10);
    stop('closes without waiting');
    for (const name of ['a', 'b', 'c']) lifecycle.onShutdown(name, hang, 8_000);
    const finished = lifecycle.shutdown('SIGTERM');
    await jest.advanceTimersByTimeAsync(9_990);
    expect(host.exits).toEqual([]);
    await jest.advanceTimersByTimeAsync(30);
    expect(await finished).toBe(1);
    expect(stopped).toEqual(['closes without waiting']);
  });

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
  ])(
    'a part that %s is logged with its error and does not keep the others from stopping',
    async (_, broken) => {
      const { lines, lifecycle, stopped, stop } = setUp();
      stop('pool');
      lifecycle.onShutdown('http', broken);
      expect(await lifecycle.shutdown('SIGTERM')).toBe(1);
      expect(stopped).toEqual(['pool']);
      expect(lines).toContainEqual([
        'error',
        'a part failed to stop',
        expect.objectContaining({ step: 'http', error: new Error('broken') }),
      ]);
    },
  );

  test('what is started while the shutdown runs is stopped at once', async () => {
    const { lifecycle, stopped, stop } = setUp();
    const finished = lifecycle.shutdown('SIGTERM');
    stop('late');
    await finished;
    expect(stopped).toEqual(['late']);
  });

  test('logger and grace period may come later', async () => {
    const { lines, lifecycle } = setUp();
    const later: string[] = [];
    const write = (message: string) => void later.push(message);
    lifecycle.configure({ log: { info: write, warn: write, error: write }, graceSeconds: 1 });
    lifecycle.onShutdown('http', hang);
    const finished = lifecycle.shutdown('SIGTERM');
    await jest.advanceTimersByTimeAsync(1_000);
    expect(await finished).toBe(1);
    expect(later).toEqual(['shutting down', 'a part did not stop in time', 'shut down']);
    expect(lines).toEqual([]);
  });
});

describe('a second signal', () => {
  test.each([
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('%s leaves at once with %i', (signal, code) => {
    const { host, lifecycle } = setUp();
    lifecycle.onShutdown('http', hang);
    host.emit('SIGTERM');
    jest.advanceTimersByTime(600);
    host.emit(signal);
    expect(host.exits).toEqual([code]);
  });

  test('in the same moment is the same wish: npm and the terminal both pass on Ctrl-C', () => {
    const { host, lifecycle } = setUp();
    lifecycle.onShutdown('http', hang);
    host.emit('SIGINT');
    jest.advanceTimersByTime(100);
    host.emit('SIGINT');
    expect(host.exits).toEqual([]);
  });
});

describe('what nothing handled', () => {
  test.each(['uncaughtException', 'unhandledRejection'])(
    '%s is logged with its cause, and everything is stopped before exit 1',
    async (event) => {
      const { host, lines, lifecycle, stopped, stop } = setUp();
      stop('pool');
      const error = new Error('unexpected', { cause: new Error('the reason') });
      host.emit(event, error);
      expect(await lifecycle.finished).toBe(1);
      expect(lines[0]).toEqual([
        'error',
        'a failure that nothing handled',
        expect.objectContaining({ origin: event, error }),
      ]);
      expect(stopped).toEqual(['pool']);
      expect(host.exits).toEqual([1]);
    },
  );

  test('during a shutdown it turns exit code 0 into 1', async () => {
    const { host, lifecycle } = setUp();
    lifecycle.onShutdown('http', () => host.emit('unhandledRejection', new Error('late')));
    host.emit('SIGTERM');
    expect(await lifecycle.finished).toBe(1);
  });

  test('a log that throws stops nothing from stopping: the handler of a failure does not use what failed', async () => {
    const { host, lifecycle, stopped, stop } = setUp();
    const broken = () => {
      throw new Error('write EPIPE');
    };
    lifecycle.configure({ log: { info: broken, warn: broken, error: broken } });
    stop('pool');
    lifecycle.onShutdown('http', () => Promise.reject(new Error('broken')));
    expect(() => host.emit('uncaughtException', new Error('unexpected'))).not.toThrow();
    expect(await lifecycle.finished).toBe(1);
    expect(stopped).toEqual(['pool']);
    expect(host.exits).toEqual([1]);
  });

  test('a failure whose handling fails again, without a pause between, ends the process and fills no log', () => {
    const { host, lines } = setUp();
    for (let turn = 0; turn < 5_000 && host.exits.length === 0; turn += 1) {
      host.emit('uncaughtException', new Error(`write EPIPE ${turn}`));
    }
    expect(host.exits).toEqual([1]);
    expect(lines.filter(([level]) => level === 'error').length).toBeLessThanOrEqual(20);
  });

  test('the process leaves after its grace period even when nothing ever ends its stops', async () => {
    const { host, lifecycle } = setUp(10);
    const stuck: Log['info'] = (message) => {
      if (message === 'shut down') throw new Error('the log is stuck');
    };
    lifecycle.configure({ log: { info: stuck, warn: stuck, error: stuck } });
    // A clock that stands still: no stop is ever found to be late.
    lifecycle.onShutdown('http', hang, Number.POSITIVE_INFINITY);
    host.emit('SIGTERM');
    await jest.advanceTimersByTimeAsync(11_100);
    expect(host.exits[0]).toBe(1);
  });
});
