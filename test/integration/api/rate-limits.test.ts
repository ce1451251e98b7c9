import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { parseList } from 'structured-headers';
import request from 'supertest';
import { createRateLimits } from '../../../services/api/rate-limits.ts';
import { SlidingWindows } from '../../../services/api/sliding-window.ts';
import { unbounded } from '../../../services/database/bounds.ts';
import { createDatabase } from '../../../services/database/client.ts';
import { pingDatabase } from '../../../services/database/ping.ts';
import { deleteEndedBudgets, takePoints } from '../../../services/database/queries/rate-limits.ts';
import { startTestApi, type TestApi, type TestApiOptions } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';

let api: TestApi;
afterEach(() => api.close());

const start = async (options: TestApiOptions) => {
  api = await startTestApi(options);
  return await api.sender();
};

const perMinute = (quota: number) => ({ quota, windowSeconds: 60 });
const storedPoints = async () =>
  (await api.database.pool.query<{ points: number }>('select points from budgets order by key')).rows.map(
    ({ points }) => points,
  );

/** A structured-field list as plain data: [["ip", {q: 5, w: 60}], …]. */
const parsed = (header: string | undefined) =>
  parseList(header ?? '').map(([name, parameters]) => [name, Object.fromEntries(parameters)]);

describe('429', () => {
  test('P49: RateLimit and RateLimit-Policy parse as Structured Fields, Retry-After is an integer', async () => {
    const sender = await start({ policies: { ip: perMinute(100), key: perMinute(2) } });
    const ask = () =>
      request(api.app)
        .get('/v1/gifts')
        .set(...sender.auth);
    const first = await ask();
    expect(parsed(first.headers['ratelimit-policy'])).toEqual([
      ['ip', { q: 100, w: 60 }],
      ['key', { q: 2, w: 60 }],
    ]);
    expect(parsed(first.headers['ratelimit'])).toEqual([
      ['ip', { r: 99, t: expect.any(Number) }],
      ['key', { r: 1, t: expect.any(Number) }],
    ]);
    expect((await ask()).status).toBe(200);
    const refused = await ask();
    expect([refused.status, refused.body.code, refused.body.retryable]).toEqual([429, 'rate_limited', true]);
    expect(refused.headers['retry-after']).toMatch(/^[1-9]\d?$/);
    expect(parsed(refused.headers['ratelimit']).at(-1)).toEqual([
      'key',
      { r: 0, t: Number(refused.headers['retry-after']) },
    ]);
  });

  test('the address is limited before the key is even looked at', async () => {
    await start({ policies: { ip: perMinute(3) } });
    const guesses = await Promise.all(
      [1, 2, 3, 4, 5].map(() => request(api.app).get('/v1/gifts').set('Authorization', 'Bearer guess')),
    );
    expect(guesses.map(({ status }) => status).toSorted()).toEqual([401, 401, 401, 429, 429]);
  });

  test('one key over its budget does not touch another', async () => {
    const greedy = await start({ policies: { key: perMinute(1) } });
    const modest = await api.sender();
    const ask = (sender: typeof greedy) =>
      request(api.app)
        .get('/v1/gifts')
        .set(...sender.auth);
    await ask(greedy);
    expect((await ask(greedy)).status).toBe(429);
    expect((await ask(modest)).status).toBe(200);
  });

  test('whoever is over the budget costs no more writes', async () => {
    const sender = await start({ policies: { key: perMinute(1) } });
    const ask = () =>
      request(api.app)
        .get('/v1/gifts')
        .set(...sender.auth);
    for (let i = 0; i < 10; i += 1) await ask();
    expect((await storedPoints()).toSorted((a, b) => a - b)).toEqual([1, 10]);
  });

  test('claim pages have a tighter budget of their own', async () => {
    await start({ policies: { claim: perMinute(2) } });
    const open = () => request(api.app).get('/claim/clt_guess');
    expect([(await open()).status, (await open()).status, (await open()).status]).toEqual([404, 404, 429]);
  });

  test('the doors to a claim share one budget: page, JSON and form', async () => {
    await start({ policies: { claim: perMinute(4) } });
    const claim = (type: string, body: string) =>
      request(api.app).post('/v1/claims').set('Content-Type', type).set('Idempotency-Key', 'k').send(body);
    const doors = [
      () => request(api.app).get('/claim/clt_guess'),
      () => request(api.app).head('/claim/clt_guess'),
      () => claim('application/json', '{"token":"clt_guess"}'),
      () => claim('application/x-www-form-urlencoded', 'token=clt_guess'),
      () => request(api.app).get('/CLAIM/clt_other'),
      () => claim('text/plain', 'x'),
    ];
    const statuses = [];
    for (const open of doors) statuses.push((await open()).status);
    expect(statuses).toEqual([404, 404, 404, 404, 429, 429]);
  });

  test('X-Forwarded-For that is no address passes no limit', async () => {
    await start({ policies: { ip: perMinute(2) }, settings: { trustProxy: 1 } });
    const statuses = [];
    for (const forwarded of ['203.0.113.8:1', '203.0.113.8:2', '[::ffff:203.0.113.8]:3', '203.0.113.8']) {
      const answer = await request(api.app).get('/openapi.json').set('X-Forwarded-For', forwarded);
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([200, 200, 429, 429]);
    for (const forwarded of ['unknown', 'x-1', '1', '203.0.113.9:x']) {
      const answer = await request(api.app).get('/openapi.json').set('X-Forwarded-For', forwarded);
      statuses.push(answer.status);
    }
    expect(statuses.slice(4)).toEqual([200, 200, 429, 429]);
  });

  test('X-Forwarded-For counts only behind a proxy that is trusted, and IPv6 by its /64', async () => {
    await start({ policies: { ip: perMinute(1) }, settings: { trustProxy: 1 } });
    const from = (ip: string) => request(api.app).get('/openapi.json').set('X-Forwarded-For', ip);
    expect((await from('2001:db8:1:2::1')).status).toBe(200);
    expect((await from('2001:db8:1:2:ffff::9')).status).toBe(429);
    expect((await from('2001:db8:1:3::1')).status).toBe(200);
    expect((await from('192.0.2.1')).status).toBe(200);
    await api.close();
    await start({ policies: { ip: perMinute(1) } });
    expect((await from('192.0.2.2')).status).toBe(200);
    expect((await from('192.0.2.3')).status).toBe(429);
  });
});

describe('P48: the store', () => {
  test.each<[string, { established: boolean; timeoutMs?: number }]>([
    ['a new connection is accepted and never answered', { established: false, timeoutMs: 50 }],
    // By default, as in production, where nothing sets a time-out.
    ['an established connection goes silent', { established: true }],
  ])(
    'P48: while Postgres hangs the limiter answers within its time-out, and goes on limiting: %s',
    async (_how, { established, ...options }) => {
      await start({});
      const postgres = await startMutable(new URL(api.database.url));
      const silent = createDatabase({
        connectionString: postgres.url,
        poolMax: 2,
        applicationName: 'largesse-test-silent',
      });
      try {
        const failures: unknown[] = [];
        const limits = createRateLimits(silent, {
          policies: { ip: perMinute(30), key: perMinute(3), claim: perMinute(3) },
          ...options,
          onStoreFailure: (error) => failures.push(error),
        });
        if (established) await pingDatabase(silent.db);
        postgres.mute();
        const twenty = () => Array.from({ length: 20 }, () => limits.ip.consume('192.0.2.1'));
        const startedAt = performance.now();
        const firstWave = twenty();
        await postgres.heard;
        // They wait behind the statement that hangs, and must not be sent to the same store after it.
        const secondWave = twenty();
        const verdicts = await Promise.all([...firstWave, ...secondWave]);
        // Far above both time-outs, and below what ends the wait without them: 5 s to connect, 15 s for a statement.
        expect(performance.now() - startedAt).toBeLessThan(3_000);
        expect([postgres.connections(), failures.length]).toEqual([1, 1]);
        expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(30);

        postgres.unmute();
        // The connection that hangs still hangs; another one takes its place.
        await eventually(
          async () => {
            await limits.ip.consume('192.0.2.2');
            expect(await storedPoints()).toHaveLength(1);
          },
          { intervalMs: 200 },
        );
        expect(postgres.connections()).toBe(2);
      } finally {
        await postgres.close();
        await silent.db.destroy();
      }
    },
  );

  test('P48: a key of 300 characters is counted like any other', async () => {
    await start({});
    const failures: unknown[] = [];
    const limits = createRateLimits(api.database, {
      policies: { ip: perMinute(2), key: perMinute(2), claim: perMinute(2) },
      timeoutMs: 2_000,
      onStoreFailure: (error) => failures.push(error),
    });
    const long = 'k'.repeat(300);
    const verdicts = [];
    for (let i = 0; i < 3; i += 1) verdicts.push(await limits.ip.consume(long));
    expect(verdicts.map(({ allowed }) => allowed)).toEqual([true, true, false]);
    expect((await limits.ip.consume('k'.repeat(299))).allowed).toBe(true);
    expect(failures).toEqual([]);
  });

  test('a budget that somebody holds uses up no connection: the server ends the wait, whatever the bounds of the session', async () => {
    await start({});
    const client = createDatabase({
      connectionString: api.database.url,
      poolMax: 1,
      applicationName: 'limits',
      bounds: unbounded,
    });
    const asked = [{ key: 'held', points: 1, quota: 10, slotMs: 1_000 }];
    await takePoints(client.db, asked);
    try {
      await api.database.db.transaction().execute(async (trx) => {
        await takePoints(trx, asked);
        await expect(takePoints(client.db, asked)).rejects.toMatchObject({ code: '55P03' });
      });
    } finally {
      await client.db.destroy();
    }
  });

  test('a thousand networks at once take a hundred budgets at a time: locks come out of a memory that all sessions share', async () => {
    await start({});
    const policies = { ip: perMinute(10), key: perMinute(10), claim: perMinute(10) };
    const limits = createRateLimits(api.database, { policies, timeoutMs: 20_000 });
    const verdicts = await Promise.all(
      Array.from({ length: 1_000 }, (_, network) => limits.ip.consume(`network ${network}`)),
    );
    expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(1_000);
    const { rows } = await api.database.pool.query<{ together: number }>(
      'select count(*)::int as together from budgets group by xmin::text',
    );
    expect(Math.max(...rows.map(({ together }) => together))).toBe(100);
  });

  test('P48: two processes share one budget', async () => {
    await start({});
    const policies = { ip: perMinute(10), key: perMinute(10), claim: perMinute(10) };
    const processes = [1, 2].map(() => createRateLimits(api.database, { policies, timeoutMs: 2_000 }));
    const verdicts = await Promise.all(
      processes.flatMap((limits) => Array.from({ length: 8 }, () => limits.ip.consume('192.0.2.1'))),
    );
    expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(10);
    expect(await storedPoints()).toEqual([10]);
  });
});

describe('P47: no window of any position holds more than the quota', () => {
  /** Slots so long that none ends during a test; time passes by moving what was taken into the past. */
  const slotMs = 10_000_000;
  const timePasses = (slots: number) =>
    api.database.pool.query('update budgets set slot = slot - $1', [slots]);
  const take = async (points: number, key = 'k', quota = 60) => {
    const [row] = await takePoints(api.database.db, [{ key, points, quota, slotMs }]);
    return row?.granted;
  };

  test('P47: what was taken at the end of a minute still counts in the next', async () => {
    await start({});
    expect(await take(1)).toBe(1);
    await timePasses(59);
    expect(await take(100)).toBe(59);
    await timePasses(1);
    expect(await take(100)).toBe(0);
    await timePasses(1);
    expect(await take(100)).toBe(1);
    await timePasses(58);
    expect(await take(100)).toBe(0);
    await timePasses(1);
    expect(await take(100)).toBe(59);
  });

  test('P47: in the database and in memory the same requests are let through, and told the same', async () => {
    await start({});
    const moves = fc.array(fc.tuple(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 1, max: 4 })), {
      minLength: 10,
      maxLength: 30,
    });
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(moves, async (steps) => {
        const now = { ms: 0 };
        const own = new SlidingWindows({ quota: 5, windowMs: 60 * slotMs, maxKeys: 9, nowMs: () => now.ms });
        const key = `run ${++runs}`;
        for (const [slots, requests] of steps) {
          now.ms += slots * slotMs;
          await timePasses(slots);
          for (let i = 0; i < requests; i += 1) {
            const [row] = await takePoints(api.database.db, [{ key, points: 1, quota: 5, slotMs }]);
            const here = own.take(key);
            expect([row?.granted, row?.used]).toEqual([here.granted, here.used]);
            expect(Math.abs((row?.reset_ms ?? 0) - here.reset_ms)).toBeLessThanOrEqual(slotMs);
          }
        }
      }),
      { numRuns: 10 },
    );
  });

  test('P47: processes whose clocks differ by twenty minutes share one window, which is the database’s', async () => {
    await start({});
    const policies = { ip: perMinute(10), key: perMinute(10), claim: perMinute(10) };
    const verdicts = [];
    for (const skewMinutes of [-10, 10, 0]) {
      const clock = jest.spyOn(Date, 'now').mockReturnValue(1_800_000_000_000 + skewMinutes * 60_000);
      const limits = createRateLimits(api.database, { policies, timeoutMs: 2_000 });
      for (let i = 0; i < 8; i += 1) verdicts.push(await limits.ip.consume('192.0.2.1'));
      clock.mockRestore();
    }
    expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(10);
  });

  test('P47: a window that began with the store goes on in memory, and what passed meanwhile counts after it', async () => {
    await start({});
    const { db } = createDatabase({
      connectionString: api.database.url,
      poolMax: 1,
      applicationName: 'limits',
    });
    const policies = { ip: perMinute(5), key: perMinute(5), claim: perMinute(5) };
    const limits = createRateLimits({ ...api.database, db }, { policies, timeoutMs: 2_000 });
    const allowed = async () => (await limits.ip.consume('192.0.2.1')).allowed;
    expect([await allowed(), await allowed(), await allowed()]).toEqual([true, true, true]);
    await db.destroy();
    expect([await allowed(), await allowed(), await allowed(), await allowed()]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  test('a row that is ahead of the clock, which was set back, locks nobody out for good', async () => {
    await start({});
    expect(await take(60)).toBe(60);
    await timePasses(-30);
    expect(await take(1)).toBe(0);
    await timePasses(-32);
    expect(await take(1)).toBe(1);
  });

  test('a smaller quota holds at once, and budgets that nobody comes back to are deleted', async () => {
    await start({});
    expect(await take(20, 'k', 60)).toBe(20);
    expect(await take(1, 'k', 10)).toBe(0);
    const forget = () => deleteEndedBudgets(api.database.db, 100);
    expect(await forget()).toBe(0);
    await api.database.pool.query('update budgets set expire = 1');
    expect(await forget()).toBe(1);
  });
});

/** Postgres behind a wire that can be cut without a word: what is open, or opened, while it is mute never answers again. */
async function startMutable(server: URL) {
  const sockets: Socket[] = [];
  const heard = Promise.withResolvers<void>();
  let muted = false;
  let connections = 0;
  const wire = createServer((socket) => {
    connections += 1;
    const upstream = connect(Number(server.port), server.hostname);
    sockets.push(socket, upstream);
    for (const end of [socket, upstream]) end.on('error', () => undefined);
    let dead = muted;
    socket.on('data', (data) => {
      dead ||= muted;
      if (dead) heard.resolve();
      else upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (!dead) socket.write(data);
    });
  });
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  const url = new URL(server);
  url.host = `127.0.0.1:${(wire.address() as AddressInfo).port}`;
  return {
    url: url.href,
    /** so many were opened so far */
    connections: () => connections,
    /** Resolves once something was said to it while it was mute. */
    heard: heard.promise,
    mute: () => {
      muted = true;
    },
    unmute: () => {
      muted = false;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => wire.close(resolve));
    },
  };
}
