import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

/** A clone of its own whose `npm` only notes that it was called and puts a Node where the real one would. */
let clone: string;

beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'largesse-bootstrap-'));
  mkdirSync(join(clone, 'scripts'));
  cpSync('scripts/bootstrap', join(clone, 'scripts/bootstrap'), { recursive: true });
  cpSync('scripts/bootstrap.mjs', join(clone, 'scripts/bootstrap.mjs'));
  writeFileSync(
    join(clone, 'scripts/hello.ts'),
    `console.log('hello', ...process.argv.slice(2)); process.exitCode = 7;`,
  );
  writeLock('1.0.0');
  fakeNpm(['mkdir -p node_modules/node/bin', `ln -sf "${process.execPath}" node_modules/node/bin/node`]);
});

afterEach(() => rmSync(clone, { recursive: true, force: true }));

test('a fresh clone is installed once, then runs the script with its arguments and its exit code', async () => {
  expect(await bootstrap('hello', 'a', 'b')).toMatchObject({
    code: 7,
    output: expect.stringContaining('hello a b'),
  });
  expect(installs()).toBe(1);
  expect((await bootstrap('hello')).output).toBe('hello\n');
  expect(installs()).toBe(1);
});

test('a changed lock file installs again', async () => {
  await bootstrap('hello');
  writeLock('1.0.1');
  await bootstrap('hello');
  expect(installs()).toBe(2);
});

test('an install made by hand is taken as it is', async () => {
  mkdirSync(join(clone, 'node_modules/node/bin'), { recursive: true });
  cpSync(join(clone, 'package-lock.json'), join(clone, 'node_modules/.package-lock.json'));
  writeFileSync(join(clone, 'node_modules/node/bin/node'), `#!/bin/sh\nexec "${process.execPath}" "$@"\n`, {
    mode: 0o755,
  });
  expect((await bootstrap('hello')).code).toBe(7);
  expect(installs()).toBe(0);
});

test('two commands at once install once, and both run', async () => {
  fakeNpm([
    'sleep 0.4',
    'mkdir -p node_modules/node/bin',
    `ln -sf "${process.execPath}" node_modules/node/bin/node`,
  ]);
  const runs = await Promise.all([bootstrap('hello', '1'), bootstrap('hello', '2')]);
  expect(runs.map(({ code }) => code)).toEqual([7, 7]);
  expect(installs()).toBe(1);
  expect(runs.map(({ output }) => output).join('')).toContain('waiting for it');
});

test('a failed install says what npm said and what to do, and runs nothing', async () => {
  fakeNpm(['echo "npm error code ENOTFOUND registry" >&2', 'exit 1']);
  const { code, output } = await bootstrap('hello');
  expect(code).toBe(1);
  expect(output).toContain('ENOTFOUND');
  expect(output).toContain('npm config get registry');
  expect(output).not.toContain('hello\n');
});

test('install scripts that were skipped are noticed, with the command that makes up for them', async () => {
  fakeNpm(['mkdir -p node_modules']);
  const { code, output } = await bootstrap('hello');
  expect(code).toBe(1);
  expect(output).toContain('npm rebuild --ignore-scripts=false node');
});

test('a signal reaches the script, and its exit code comes back', async () => {
  writeFileSync(
    join(clone, 'scripts/wait.ts'),
    `process.on('SIGTERM', () => process.exit(5)); setInterval(() => undefined, 1000); console.log('up');`,
  );
  const { code } = await bootstrapUntil('up', 'SIGTERM', 'wait');
  expect(code).toBe(5);
});

function writeLock(version: string): void {
  const packages = { '': {}, 'node_modules/node': { version, integrity: 'sha512-x' } };
  writeFileSync(join(clone, 'package-lock.json'), JSON.stringify({ packages }));
}

function fakeNpm(lines: string[]): void {
  mkdirSync(join(clone, 'bin'), { recursive: true });
  writeFileSync(
    join(clone, 'bin/npm'),
    ['#!/bin/sh', 'set -e', 'echo run >> npm-runs', ...lines, ''].join('\n'),
  );
  chmodSync(join(clone, 'bin/npm'), 0o755);
}

function installs(): number {
  const file = join(clone, 'npm-runs');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0;
}

function bootstrap(...args: string[]): Promise<{ code: number | null; output: string }> {
  return bootstrapUntil(undefined, 'SIGTERM', ...args);
}

function bootstrapUntil(
  word: string | undefined,
  signal: NodeJS.Signals,
  ...args: string[]
): Promise<{ code: number | null; output: string }> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, ['scripts/bootstrap.mjs', ...args], {
    cwd: clone,
    env: { ...env, PATH: `${join(clone, 'bin')}:${env['PATH']}` },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
      if (word !== undefined && output.includes(word)) child.kill(signal);
    });
  }
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}
