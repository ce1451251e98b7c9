import { jest } from '@jest/globals';

/** This process's date is off by so many minutes, until `jest.useRealTimers()`. Timers go on: servers and database clients need them. */
export const offBy = (minutes: number) =>
  jest.useFakeTimers({ now: Date.now() + minutes * 60_000, doNotFake: [...everythingElse] });

const everythingElse = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'nextTick',
  'queueMicrotask',
  'performance',
  'hrtime',
] as const;
