import { EventEmitter } from 'node:events';
import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { parseEnv } from '../../../services/runtime/env.ts';
import { databaseEnv } from '../../../services/runtime/env-variables.ts';
import type { Lifecycle } from '../../../services/runtime/lifecycle.ts';
import { runMain } from '../../../services/runtime/run-main.ts';

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

async function run(main: (lifecycle: Lifecycle) => Promise<number | undefined>) {
  const host = new FakeProcess();
  let stderr = '';
  const done = runMain('api', main, { process: host, stderr: { write: (text) => (stderr += text) } });
  return { host, done, stderr: () => stderr };
}

test.each([0, 1, 2])(
  'a number that main returns is the exit code, after everything was stopped: %i',
  async (code) => {
    const stopped: string[] = [];
    const { host, done, stderr } = await run(async (lifecycle) => {
      lifecycle.onShutdown('pool', () => stopped.push('pool'));
      return code;
    });
    await done;
    expect(host.exits).toEqual([code]);
    expect(stopped).toEqual(['pool']);
    expect(stderr()).toBe('');
  },
);

test('without a number it serves until a signal comes', async () => {
  const { host, done } = await run(async () => undefined);
  await done;
  expect(host.exits).toEqual([]);
  host.emit('SIGTERM');
  await new Promise(setImmediate);
  expect(host.exits).toEqual([0]);
});

test('an environment that does not fit is told in plain words, without a stack, with exit code 2', async () => {
  const { host, done, stderr } = await run(async () => {
    parseEnv(z.object(databaseEnv), { DATABASE_URL: 'hunter2' });
    return undefined;
  });
  await done;
  expect(host.exits).toEqual([2]);
  expect(stderr()).toBe(
    "largesse api can't start. One environment variable needs attention:\n\n" +
      '  DATABASE_URL: is not a postgres:// or postgresql:// URL\n' +
      '      Set it to a PostgreSQL URL: postgres://user:password@host:5432/largesse?sslmode=verify-full\n',
  );
});

test('any other failure is told with its cause, stops what was started, and exits 1', async () => {
  const stopped: string[] = [];
  const { host, done, stderr } = await run(async (lifecycle) => {
    lifecycle.onShutdown('pool', () => stopped.push('pool'));
    throw new Error('no queue', { cause: new Error('connect ECONNREFUSED') });
  });
  await done;
  expect(host.exits).toEqual([1]);
  expect(stopped).toEqual(['pool']);
  expect(stderr()).toMatch(
    /^largesse api: a failure that nothing handled .*\nError: no queue\n[\s\S]*\[cause\]: Error: connect ECONNREFUSED/,
  );
});

test('a start that breaks because a shutdown closed things beneath it is no failure', async () => {
  const { host, done, stderr } = await run(async (lifecycle) => {
    await lifecycle.shutdown('SIGTERM');
    throw new Error('Cannot use a pool after calling end on the pool');
  });
  await done;
  expect(host.exits).toEqual([0]);
  expect(stderr()).toBe('');
});
