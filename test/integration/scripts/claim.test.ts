import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { claimSocket, connectTo } from '../../../scripts/bootstrap/claim.mjs';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'largesse-claim-'));
  path = join(folder, 's');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('the second to ask gets a connection to the first, which closes when the first lets go', async () => {
  const first = await claimSocket(path);
  const second = await claimSocket(path);
  expect(second.release).toBeUndefined();
  const released = once(second.holder ?? process, 'close');
  first.release?.();
  await released;
  const third = await claimSocket(path);
  expect(third.release).toBeDefined();
  third.release?.();
});

test('a holder that was killed leaves a claim that can be taken', async () => {
  const holder = holdInAnotherProcess();
  await once(holder.stdout ?? holder, 'data');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(existsSync(path)).toBe(true);
  expect(await connectTo(path)).toBeUndefined();
  const claim = await claimSocket(path);
  expect(claim.release).toBeDefined();
  claim.release?.();
});

test('of many who find a dead claim at the same moment exactly one gets it', async () => {
  const holder = holdInAnotherProcess();
  await once(holder.stdout ?? holder, 'data');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const claims = await Promise.all(Array.from({ length: 8 }, () => claimSocket(path)));
  expect(claims.filter(({ release }) => release !== undefined)).toHaveLength(1);
  for (const { release, holder: held } of claims) {
    held?.destroy();
    release?.();
  }
});

test('a claim that refuses for a moment, as between bind and listen, is not taken for dead', async () => {
  const holder = holdInAnotherProcess();
  await once(holder.stdout ?? holder, 'data');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const claiming = claimSocket(path);
  await wait(30);
  rmSync(path);
  const late = createServer().listen(path);
  const claim = await claiming;
  expect(claim.release).toBeUndefined();
  claim.holder?.destroy();
  late.close();
});

function holdInAnotherProcess(): ChildProcess {
  const module = resolve('scripts/bootstrap/claim.mjs');
  const code = `const { claimSocket } = await import(${JSON.stringify(module)}); await claimSocket(${JSON.stringify(path)}); console.log('held');`;
  return spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
