import { mkdirSync, rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { withContext } from '../../../services/observability/context.ts';
import { createLogger, type LoggerOptions } from '../../../services/observability/logger.ts';

const NOON = new Date('2026-03-01T12:00:00.000Z');

function capture(options: Partial<LoggerOptions> = {}) {
  const chunks: string[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      chunks.push(chunk.toString());
      done();
    },
  });
  const log = createLogger({ service: 'api', stream, clock: () => NOON, ...options });
  const text = () => chunks.join('');
  const records = () =>
    text()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, text, records };
}

describe('JSON lines', () => {
  test('the fields stand in their order, those of the context before those of the event', () => {
    const { log, text } = capture();
    withContext({ gift_id: 'gft_1', request_id: 'req_1' }, () =>
      log.info('gift accepted', {
        status: 202,
        marker: '[MONITOR]',
        receive_count: 2,
        message_id: 'm-1',
        absent: undefined,
      }),
    );
    expect(text()).toBe(
      '{"level":"info","time":"2026-03-01T12:00:00.000Z","msg":"gift accepted","service":"api","request_id":"req_1",' +
        '"gift_id":"gft_1","message_id":"m-1","receive_count":2,"marker":"[MONITOR]","status":202}\n',
    );
  });

  test('fields of a child are on every line; nothing overwrites what identifies the line', () => {
    const { log, records } = capture();
    const child = log.child({ queue: 'gifts' }).child({ worker: 3 });
    child.warn('slow', { level: 'debug', time: 'never', msg: 'other', service: 'x' });
    expect(records()).toEqual([
      { level: 'warn', time: NOON.toISOString(), msg: 'slow', service: 'api', queue: 'gifts', worker: 3 },
    ]);
  });

  test('lines below the level are not written', () => {
    const { log, records } = capture({ level: 'warn' });
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    expect(records().map(({ msg }) => msg)).toEqual(['c', 'd']);
  });

  test('an error is written with name, code, stack and its chain of causes', () => {
    const { log, records } = capture();
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const several = new AggregateError([refused], 'all addresses failed');
    log.error('mail failed', { error: new TypeError('no transport', { cause: several }) });
    expect(records()[0]?.['error']).toMatchObject({
      name: 'TypeError',
      message: 'no transport',
      stack: expect.stringContaining('logger.test.ts'),
      cause: {
        name: 'AggregateError',
        errors: [{ name: 'Error', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' }],
      },
    });
  });

  test('values that JSON can not say do not break the line', () => {
    const { log, records } = capture();
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    const looped = new Error('looped');
    looped.cause = looped;
    log.info('odd', {
      circle,
      error: looped,
      big: 10n,
      nan: Number.NaN,
      bytes: Buffer.from('abc'),
      fn: () => 1,
      when: NOON,
      at: new Date('x'),
    });
    expect(records()[0]).toMatchObject({
      big: '10',
      nan: 'NaN',
      bytes: '[3 bytes]',
      fn: '[function]',
      when: NOON.toISOString(),
      at: 'invalid date',
    });
  });

  test('a text without end is cut', () => {
    const { log, records } = capture();
    log.info('long', { body: 'x'.repeat(1_000_000) });
    expect(String(records()[0]?.['body'])).toMatch(/^x{16384}… \[983616 more characters\]$/);
  });
});

describe('P59: nothing personal leaves through the log', () => {
  test('P59: an address is found in no part of a line: message, field, key, list, error, cause, child, context', () => {
    fc.assert(
      fc.property(fc.emailAddress(), fc.constantFrom('json', 'pretty'), (address, format) => {
        const { log, text } = capture({ format: format as 'json' });
        const error = new Error(`550 <${address}> unknown`, { cause: { response: `to ${address}` } });
        withContext({ request_id: address }, () =>
          log.child({ bound: address }).error(`to ${address}`, {
            error,
            list: [{ deep: address }],
            [address]: 1,
            map: new Map([[address, address]]),
          }),
        );
        const line = text();
        expect(line).toContain('[email]');
        expect(line).not.toContain(address);
      }),
    );
  });

  test('P59: a field whose name promises a secret is hidden, whatever it looks like; counts are not', () => {
    const { log, records } = capture();
    log.info('in', {
      headers: { authorization: 'x', 'set-cookie': 'y' },
      smtp_password: 'z',
      claim_token: 'Bob',
      email: 'Bob',
      otp: '123456',
      emails: 3,
      token: 7,
    });
    expect(records()[0]).toMatchObject({
      headers: { authorization: '[redacted]', 'set-cookie': '[redacted]' },
      smtp_password: '[redacted]',
      claim_token: '[redacted]',
      email: '[redacted]',
      otp: '[redacted]',
      emails: 3,
      token: 7,
    });
  });

  test('P59: what a database error quotes of the row is not written', () => {
    const { log, text } = capture();
    const error = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (name)=(Bob Smith) already exists.',
    });
    log.error('insert failed', { error });
    const line = text();
    expect(line).toContain('23505');
    expect(line).not.toContain('Bob Smith');
  });
});

describe('lines for a person', () => {
  test('time, level, service, message, fields, then the stack and its causes', () => {
    const { log, text } = capture({ format: 'pretty' });
    log.warn('retried', {
      gift_id: 'gft_1',
      reason: 'mail server',
      error: new Error('outer', { cause: new Error('inner') }),
    });
    const [head, ...rest] = text().split('\n');
    expect(head).toBe('12:00:00.000 WARN  api retried gift_id=gft_1 reason="mail server"');
    expect(rest[0]).toBe('    Error: outer');
    expect(rest).toContain('    caused by Error: inner');
  });

  test('a terminal gets colours and the pretty form by itself', () => {
    const stream = Object.assign(new PassThrough(), { isTTY: true });
    createLogger({ service: 'api', stream }).error('broken');
    expect(String(stream.read())).toContain('\u001B[31mERROR\u001B[39m');
  });
});

describe('a log that nobody takes', () => {
  const closed = () => Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });

  test('a reader that went away costs its lines, each counted, and raises nothing', async () => {
    let open = true;
    const heard: string[] = [];
    // As process.stdout does it: every failed write raises an event, and the next one is tried.
    const stream = Object.assign(new PassThrough(), {
      write: (line: string, done: (error?: Error) => void) => {
        if (open) heard.push(String(JSON.parse(line).msg));
        else process.nextTick(() => stream.emit('error', closed()));
        process.nextTick(done, open ? undefined : closed());
        return true;
      },
    });
    const dropped: string[] = [];
    const log = createLogger({
      service: 'api',
      stream: stream as NodeJS.WritableStream,
      onDropped: (sink) => dropped.push(sink),
    });
    log.info('heard');
    open = false;
    for (let line = 0; line < 50; line += 1) {
      log.info(`lost ${line}`);
      await nextTurn();
    }
    expect(heard).toEqual(['heard']);
    expect(dropped).toEqual(Array.from({ length: 50 }, () => 'stream'));
  });

  test('the first line that is heard again is followed by how many were not', () => {
    let full = true;
    const records: Record<string, unknown>[] = [];
    // A stream that recovers, as stdout on a disk that was full does.
    const stream = Object.assign(new PassThrough(), {
      write: (line: string, done: (error?: Error) => void) => {
        if (!full) records.push(JSON.parse(line));
        done(full ? Object.assign(new Error('no space left'), { code: 'ENOSPC' }) : undefined);
        return true;
      },
    });
    const log = createLogger({ service: 'api', stream: stream as NodeJS.WritableStream });
    for (let line = 0; line < 3; line += 1) log.info(`lost ${line}`);
    full = false;
    log.info('heard');
    expect(records).toMatchObject([{ msg: 'heard' }, { event: 'log_records_dropped', dropped: 3 }]);
  });

  test('a reader that is frozen takes no memory: what waits for it is bounded', () => {
    const stream = new Writable({ write: () => undefined });
    let dropped = 0;
    const log = createLogger({ service: 'api', stream, onDropped: () => (dropped += 1) });
    for (let line = 0; line < 3_000; line += 1) log.info('x'.repeat(1_000));
    expect(stream.writableLength).toBeLessThan(1_100_000);
    expect(dropped).toBeGreaterThan(1_500);
  });

  test('a stream that throws, and a field that throws when it is read, throw at nobody', () => {
    const stream = Object.assign(new PassThrough(), {
      write: () => {
        throw new Error('destroyed');
      },
    });
    const dropped: string[] = [];
    const log = createLogger({
      service: 'api',
      stream: stream as NodeJS.WritableStream,
      onDropped: (sink) => dropped.push(sink),
    });
    expect(() => log.error('broken stream')).not.toThrow();
    const trap = {
      get inner(): never {
        throw new Error('read me not');
      },
    };
    expect(() => log.error('broken field', { trap })).not.toThrow();
    expect(dropped).toEqual(['stream', 'record', 'stream']);
    const heard = capture();
    heard.log.error('broken field', { trap });
    expect(heard.records()).toMatchObject([{ msg: 'a log line could not be made', lost_level: 'error' }]);
  });
});

describe('the log file', () => {
  test('it holds every line once close has settled; closing twice is no error', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'largesse-log-'));
    try {
      const { log, records } = capture({
        file: { path: join(folder, 'api.log'), maxBytes: 2_000, maxFiles: 3 },
      });
      for (let line = 0; line < 5; line += 1) log.info(`line ${line}`);
      await log.close();
      await log.close();
      log.info('after the file was closed');
      const written = await readFile(join(folder, 'api.log'), 'utf8');
      expect(
        written
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line).msg),
      ).toEqual([0, 1, 2, 3, 4].map((line) => `line ${line}`));
      expect(records().at(-1)).toMatchObject({ msg: 'after the file was closed' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('it is rotated: the newest lines under its name, no more files than were asked for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'largesse-log-'));
    try {
      const { log } = capture({
        file: { path: join(folder, 'deep', 'api.log'), maxBytes: 1_000, maxFiles: 3 },
      });
      for (let line = 0; line < 100; line += 1) {
        log.info(`line ${line}`);
        // Sizes are looked at when a write has ended: give each its turn.
        await nextTurn();
      }
      await log.close();
      const files = await readdir(join(folder, 'deep'));
      expect(files.length).toBeGreaterThan(1);
      expect(files.length).toBeLessThanOrEqual(3);
      expect(await readFile(join(folder, 'deep', 'api.log'), 'utf8')).toContain('line 99');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a file that can not be written is a clear error at the start', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'largesse-log-'));
    try {
      const open = () => capture({ file: { path: folder, maxBytes: 2_000, maxFiles: 3 } });
      expect(open).toThrow(`The log file ${folder} can not be written: give LOG_FILE a path that can.`);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a disk that takes no more costs the file its lines, and nothing else', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'largesse-log-'));
    try {
      const path = join(folder, 'api.log');
      const { log, records } = capture({ file: { path, maxBytes: 2_000_000_000, maxFiles: 1 } });
      // Before it is opened for writing: from then on every write fails.
      rmSync(path);
      mkdirSync(path);
      for (let line = 0; line < 3_000; line += 1) {
        log.info(`line ${line}`);
        if (line % 100 === 0) await nextTurn();
      }
      await log.close();
      const messages = records().map(({ msg }) => msg);
      expect(messages.filter((msg) => msg === 'the log file takes no more: lines are dropped')).toHaveLength(
        1,
      );
      expect(messages.filter((msg) => String(msg).startsWith('line '))).toHaveLength(3_000);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
