import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { Part, PartFailed } from '../../../scripts/embedded/part.ts';
import { listensOn } from '../../../scripts/embedded/port-owner.ts';
import { candidates, choosePorts } from '../../../scripts/embedded/ports.ts';
import { stopOrphan } from '../../../scripts/embedded/postgres-orphan.ts';
import { identityOf, stopLeftovers } from '../../../scripts/embedded/processes.ts';
import { nodePart } from '../../../scripts/embedded/servers.ts';
import { eventually } from '../../support/eventually.ts';

const parts: Part[] = [];
afterEach(() => {
  for (const part of parts.splice(0)) part.kill();
});

test('a part is ready when it says so, and stops when asked, in a process group of its own', async () => {
  const seen = { lines: [] as string[], crashes: [] as string[] };
  const part = makePart(
    `process.on('SIGTERM', () => process.exit(0)); console.log('up'); setInterval(() => {}, 1e6)`,
    seen,
  );
  await part.start();
  expect(part.isRunning).toBe(true);
  const pid = part.record()?.pid ?? 0;
  expect(() => process.kill(-pid, 0)).not.toThrow();
  await part.stop();
  expect(identityOf(pid)).toBeUndefined();
  expect(seen.crashes).toEqual([]);
});

test('a part that ends before it is ready is a failure with its last words', async () => {
  const part = makePart(`console.error('Error: listen EADDRINUSE'); process.exit(3)`);
  const failure = await part.start().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(PartFailed);
  expect(failure).toMatchObject({ message: 'test ended with exit code 3' });
  await eventually(() => expect(part.lastLines).toContain('Error: listen EADDRINUSE'));
});

test('a part that ends by itself later is reported once, and can be started again', async () => {
  const seen = { lines: [] as string[], crashes: [] as string[] };
  const part = makePart(`console.log('up'); setInterval(() => {}, 1e6)`, seen);
  await part.start();
  process.kill(part.record()?.pid ?? 0, 'SIGKILL');
  await eventually(() => expect(seen.crashes).toEqual(['was killed (SIGKILL)']));
  await part.start();
  expect(part.isRunning).toBe(true);
});

test('a part that ignores the signal is killed with its group after its time', async () => {
  const part = makePart(`process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1e6)`);
  await part.start();
  const pid = part.record()?.pid ?? 0;
  await part.stop();
  expect(identityOf(pid)).toBeUndefined();
});

test('leftovers are ended only when they are still the same process', async () => {
  const part = makePart(`console.log('up'); setInterval(() => {}, 1e6)`);
  await part.start();
  const record = part.record();
  if (record === undefined) throw new Error('the part has no process');
  expect(await stopLeftovers([{ ...record, identity: 'another time' }])).toEqual([]);
  expect(part.isRunning).toBe(true);
  expect(await stopLeftovers([record])).toEqual([record]);
  expect(identityOf(record.pid)).toBeUndefined();
});

test('a lock file whose process id went to another program is removed, and that program lives on', async () => {
  const data = mkdtempSync(join(tmpdir(), 'largesse-orphan-'));
  writeFileSync(join(data, 'postmaster.pid'), `${process.pid}\n${data}\n`);
  const said: string[] = [];
  await stopOrphan(data, (line) => said.push(line));
  expect(said).toEqual([]);
  await expect(stopOrphan(data, (line) => said.push(line))).resolves.toBeUndefined();
  rmSync(data, { recursive: true });
});

test('ports: the remembered one first, then the usual one and its neighbours, then any', async () => {
  expect(candidates(4321, 8080).slice(0, 3)).toEqual([4321, 8080, 8081]);
  expect(candidates(8080, 8080).slice(0, 3)).toEqual([8080, 8081, 8082]);
  expect(candidates(undefined, 0)).toEqual([0]);

  const { server, port } = await listenAnywhere();
  const free = await choosePorts({});
  const chosen = await choosePorts({ api: port, sqs: free.postgres });
  expect(chosen.api).not.toBe(port);
  expect(chosen.sqs).toBe(free.postgres);
  expect(new Set(Object.values(chosen)).size).toBe(Object.keys(chosen).length);
  await new Promise((done) => server.close(done));
});

function makePart(code: string, seen = { lines: [] as string[], crashes: [] as string[] }): Part {
  const spec = nodePart('test', ['-e', code], {});
  let isUp = false;
  const part = new Part(
    { ...spec, stopTimeoutMs: 300, readyTimeoutMs: 20_000, isReady: async () => isUp },
    {
      onLine: (_, line) => {
        seen.lines.push(line);
        isUp ||= line === 'up';
      },
      onSpawn: () => undefined,
      onReady: () => undefined,
      onCrash: (_, how) => void seen.crashes.push(how),
    },
  );
  parts.push(part);
  return part;
}

function listenAnywhere(): Promise<{ server: Server; port: number }> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve({ server, port: typeof address === 'object' && address !== null ? address.port : 0 });
    });
  });
}

test('a part whose port another process holds is not ready, however well that one answers', async () => {
  const { server, port } = await listenAnywhere();
  const spec = nodePart('test', ['-e', `setInterval(() => {}, 1e6)`], {});
  const part = new Part(
    { ...spec, ports: [port], readyTimeoutMs: 300 },
    { onSpawn: () => undefined, onLine: () => undefined, onReady: () => undefined, onCrash: () => undefined },
  );
  parts.push(part);
  await expect(part.start()).rejects.toThrow('was not ready after 0.3 s');
  expect(part.isRunning).toBe(false);
  expect(listensOn(process.pid, port)).toBe(true);
  await new Promise((done) => server.close(done));
  expect(listensOn(process.pid, port)).toBe(false);
});
