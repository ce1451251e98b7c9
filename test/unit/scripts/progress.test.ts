import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { describeInstall } from '../../../scripts/bootstrap/progress.mjs';
import { createProgress } from '../../../scripts/embedded/progress.ts';

describe('an install says what it waits for, in numbers that move', () => {
  test.each([
    [{ unpacked: 120, hasNode: false }, '120 of 500 packages unpacked, 87 MB written'],
    [{ unpacked: 497, hasNode: false }, 'packages are there, fetching Node 24 (120 MB), 87 MB written'],
    [
      { unpacked: 497, hasNode: true },
      'packages and Node 24 are there, the last install scripts run, 87 MB written',
    ],
  ])('%j', (state, said) => {
    expect(describeInstall({ wanted: 500, writtenBytes: 87_400_000, ...state })).toBe(said);
  });
});

describe('a step that takes long', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  function progressOn(isTTY: boolean) {
    const out = Object.assign(new PassThrough(), { isTTY });
    let text = '';
    out.on('data', (chunk) => {
      text += chunk;
    });
    return { progress: createProgress(out as unknown as NodeJS.WriteStream), text: () => text };
  }

  test('counts its seconds on a terminal', async () => {
    const { progress, text } = progressOn(true);
    const { promise, resolve } = Promise.withResolvers<void>();
    const step = progress.step('PostgreSQL', () => promise);
    await jest.advanceTimersByTimeAsync(3_000);
    expect(text()).toContain('PostgreSQL (3 s)');
    resolve();
    await step;
    expect(jest.getTimerCount()).toBe(0);
  });

  test('says what is waited for elsewhere, a line every ten seconds', async () => {
    const { progress, text } = progressOn(false);
    const { promise, resolve } = Promise.withResolvers<void>();
    const steps = [progress.step('PostgreSQL', () => promise), progress.step('mail catcher', () => promise)];
    await jest.advanceTimersByTimeAsync(20_000);
    expect(text().match(/… PostgreSQL \(\d+ s\), mail catcher \(\d+ s\)\n/g)).toHaveLength(2);
    resolve();
    await Promise.all(steps);
    expect(jest.getTimerCount()).toBe(0);
  });
});
