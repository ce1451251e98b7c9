import { connect } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  type AdminServer,
  type AdminServerDeps,
  startAdminServer,
} from '../../../services/runtime/admin-server.ts';

let server: AdminServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function start(
  deps: AdminServerDeps,
  checkTimeoutMs = 2_000,
): Promise<(path: string, init?: RequestInit) => Promise<Response>> {
  server = await startAdminServer(deps, { port: 0, host: '127.0.0.1', checkTimeoutMs });
  const { port } = server;
  return (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init);
}

describe('200', () => {
  test('/metrics serves the exposition with its content type', async () => {
    const get = await start({
      metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'largesse_x 1\n' }),
    });
    const response = await get('/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.text()).toBe('largesse_x 1\n');
  });

  test('/healthz shows what each part says of itself', async () => {
    const get = await start({
      liveness: { consumer: () => ({ ok: true, in_flight: 3 }) as { ok: boolean } },
    });
    const response = await get('/healthz');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: 'ok', checks: { consumer: { ok: true, in_flight: 3 } } });
  });

  test('/readyz runs all checks, at once', async () => {
    let release: (() => void) | undefined;
    const meeting = new Promise<void>((resolve) => {
      release = resolve;
    });
    const get = await start({ readiness: { first: () => meeting, second: () => release?.() } });
    const response = await get('/readyz?verbose');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      status: 'ok',
      checks: {
        first: { ok: true, duration_ms: expect.any(Number) },
        second: { ok: true, duration_ms: expect.any(Number) },
      },
    });
  });

  test('HEAD answers as GET does, without a body', async () => {
    const get = await start({});
    const response = await get('/healthz', { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
  });
});

describe('503', () => {
  test('/healthz when there is work and no progress', async () => {
    const get = await start({ liveness: { consumer: () => ({ ok: false }), relay: () => ({ ok: true }) } });
    const response = await get('/healthz');
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({
      status: 'unavailable',
      checks: { consumer: { ok: false }, relay: { ok: true } },
    });
  });

  test('/readyz names the failing check by its code; the message stays inside', async () => {
    const refused = Object.assign(new Error('password authentication failed for user "app"'), {
      code: '28P01',
    });
    const get = await start({
      readiness: {
        database: () => Promise.reject(refused),
        queue: () => {
          throw new TypeError('secret detail');
        },
        mail: () => undefined,
      },
    });
    const response = await get('/readyz');
    const body = await response.text();
    expect(response.status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({
      status: 'unavailable',
      checks: {
        database: { ok: false, reason: '28P01' },
        queue: { ok: false, reason: 'TypeError' },
        mail: { ok: true },
      },
    });
    expect(body).not.toMatch(/password|secret/);
  });

  test('/readyz answers although a check hangs, and tells the check to stop', async () => {
    let told: AbortSignal | undefined;
    const get = await start(
      {
        readiness: {
          database: (signal) => {
            told = signal;
            return new Promise(() => undefined);
          },
        },
      },
      20,
    );
    const response = await get('/readyz');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      checks: { database: { ok: false, reason: 'no answer in 20 ms' } },
    });
    expect(told?.aborted).toBe(true);
  });

  test('/readyz as soon as a shutdown begins, while /healthz stays well', async () => {
    const stopping = new AbortController();
    const get = await start({ readiness: { database: () => undefined }, stopping: stopping.signal });
    expect((await get('/readyz')).status).toBe(200);
    stopping.abort();
    const response = await get('/readyz');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ checks: { process: { ok: false, reason: 'stopping' } } });
    expect((await get('/healthz')).status).toBe(200);
  });
});

describe('other answers', () => {
  test('404 for what does not exist, and for /metrics without metrics; 405 for other methods', async () => {
    const get = await start({});
    expect((await get('/')).status).toBe(404);
    expect((await get('/metrics')).status).toBe(404);
    expect((await get('/healthz', { method: 'POST' })).status).toBe(405);
  });

  test('500 when the metrics can not be rendered, without the reason of it', async () => {
    const get = await start({ metrics: () => Promise.reject(new RangeError('secret detail')) });
    const response = await get('/metrics');
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ status: 'error', reason: 'RangeError' });
  });
});

test('a port that is taken rejects the start', async () => {
  await start({});
  await expect(startAdminServer({}, { port: server?.port ?? 0, host: '127.0.0.1' })).rejects.toMatchObject({
    problems: [{ variable: 'METRICS_PORT', problem: expect.stringContaining('EADDRINUSE') }],
  });
});

test('close does not wait for a scraper that keeps its connection', async () => {
  await start({});
  const socket = connect(server?.port ?? 0, '127.0.0.1');
  const gone = new Promise((resolve) => socket.once('close', resolve));
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n');
  await new Promise((resolve) => socket.once('data', resolve));
  await server?.close();
  server = undefined;
  await gone;
  expect(socket.destroyed).toBe(true);
});
