import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { choosePorts } from '../../../scripts/embedded/ports.ts';
import { identityOf, type ProcessRecord } from '../../../scripts/embedded/processes.ts';
import { eventually } from '../../support/eventually.ts';
import { type Clone, live, makeClone } from './stand-ins.ts';

let clone: Clone;
const running: ChildProcess[] = [];

beforeEach(() => {
  clone = makeClone();
});

afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  clone.remove();
});

test('with nobody left to read what it prints, a stop still stops every part', async () => {
  const { child, says } = start();
  await says('Ctrl-C stops all of it');
  const parts = recorded();
  expect(parts.map(({ name }) => name).sort()).toEqual(['api', 'consumer']);
  const ended = once(child, 'exit');
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
  expect(parts.filter(({ pid }) => identityOf(pid) !== undefined)).toEqual([]);
});

test('an API that had to move to another port is the one that the mails link to', async () => {
  clone.write(
    'services/api/main.ts',
    live(`
if (existsSync('raced')) { serve(process.env.PORT); serve(process.env.METRICS_PORT); }
else { writeFileSync('raced', ''); console.error('listen EADDRINUSE'); process.exit(1); }`),
  );
  clone.write(
    'services/consumer/main.ts',
    live(`writeFileSync('public-url', process.env.PUBLIC_URL); serve(process.env.METRICS_PORT);`),
  );
  const { postgres: first } = await choosePorts({});
  const { says } = start({ PORT: String(first) });
  await says('Ctrl-C stops all of it');
  const { api } = JSON.parse(clone.read('.largesse/ports.json')) as { api: number };
  expect(api).not.toBe(first);
  expect(clone.read('public-url')).toBe(`http://localhost:${api}`);
});

test('a supervisor that is killed takes its parts with it, in their order, ready or not', async () => {
  const noting = (name: string) =>
    live(
      `process.once('SIGINT', () => { process.getBuiltinModule('node:fs').appendFileSync('ends', '${name} '); process.exit(); });`,
    );
  clone.write(
    'services/api/main.ts',
    `${noting('api')} serve(process.env.PORT); serve(process.env.METRICS_PORT);`,
  );
  clone.write('services/consumer/main.ts', `${noting('consumer')} serve(process.env.METRICS_PORT);`);
  const { child, says } = start();
  await says('Ctrl-C stops all of it');
  const parts = recorded();
  expect(parts).toHaveLength(2);
  child.kill('SIGKILL');
  await eventually(() => expect(parts.filter(({ pid }) => identityOf(pid) !== undefined)).toEqual([]));
  expect(clone.read('ends')).toBe('consumer api ');
});

test('a part that was not ready yet when its supervisor was killed does not outlive it, and the next start works', async () => {
  clone.write('node_modules/maildev/bin/maildev', live(`writeFileSync('mail-pid', String(process.pid));`));
  const killed = start({ SMTP_URL: '' });
  await eventually(() => expect(clone.read('mail-pid')).not.toBe(''));
  const pid = Number(clone.read('mail-pid'));
  killed.child.kill('SIGKILL');
  await eventually(() => expect(identityOf(pid)).toBeUndefined());
  clone.write('node_modules/maildev/bin/maildev', live(`serve(process.argv[5]); serve(process.argv[7]);`));
  const next = start({ SMTP_URL: '' });
  await next.says('Ctrl-C stops all of it');
  const ended = once(next.child, 'exit');
  next.child.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
});

test('what a supervisor and its guardian left behind, both killed, is stopped by the next start', async () => {
  const left = start();
  await left.says('Ctrl-C stops all of it');
  const ended = once(left.child, 'exit');
  left.child.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
  // As after a power cut of the two: a part that still runs, and its record.
  const orphan = spawn(process.execPath, ['services/api/main.ts'], {
    cwd: clone.folder,
    env: { PORT: '0', METRICS_PORT: '0' },
    detached: true,
    stdio: 'ignore',
  });
  running.push(orphan);
  const pid = orphan.pid ?? 0;
  await eventually(() => expect(identityOf(pid)).toBeDefined());
  clone.write('.largesse/processes.json', JSON.stringify([{ name: 'api', pid, identity: identityOf(pid) }]));
  const next = start();
  await next.says('The last run was killed and left api behind: stopped now.');
  expect(identityOf(pid)).toBeUndefined();
});

test('a server of one’s own that refuses is told in the one sentence of the program that found it out', async () => {
  clone.write(
    'services/admin/main.ts',
    `console.error('largesse admin: DATABASE_URL: the server at own.example:5432 refuses the password of user "me"'); process.exit(1);`,
  );
  const { child, said } = start();
  expect(await once(child, 'exit')).toEqual([1, null]);
  expect(said()).toContain(
    'Largesse could not start: DATABASE_URL: the server at own.example:5432 refuses the password of user "me"\n',
  );
  expect(said()).not.toContain('exit code');
});

test.each([
  ['start', '--help'],
  ['stop', '--help'],
  ['stop', '-h'],
  ['mail', '--help'],
])('%s %s says how it is used and does nothing else', async (name, flag) => {
  const { child, says } = start();
  await says('Ctrl-C stops all of it');
  const parts = recorded();
  const asked = bootstrap(name, flag);
  expect([asked.status, asked.stderr]).toEqual([0, '']);
  expect(asked.stdout).toContain(`npm ${name === 'mail' ? 'run mail' : name}`);
  expect(recorded()).toEqual(parts);
  expect(child.exitCode).toBeNull();
});

test.each(['start', 'stop', 'build', 'check', 'smoke'])(
  '%s refuses an argument that it would not heed, in one sentence, and does nothing',
  (name) => {
    const asked = bootstrap(name, '--dry-run');
    expect([asked.status, asked.stdout]).toEqual([2, '']);
    expect(asked.stderr).toMatch(/^npm [^\n]+ takes no arguments, and "--dry-run" was given\. \([^\n]+\)\n$/);
  },
);

function bootstrap(...args: string[]) {
  return spawnSync(process.execPath, ['scripts/bootstrap.mjs', ...args], { encoding: 'utf8' });
}

function start(environment?: NodeJS.ProcessEnv) {
  const child = clone.start(environment);
  running.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      said += chunk;
    });
  }
  return { child, said: () => said, says: (text: string) => eventually(() => expect(said).toContain(text)) };
}

function recorded(): ProcessRecord[] {
  return JSON.parse(clone.read('.largesse/processes.json')) as ProcessRecord[];
}
