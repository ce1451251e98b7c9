import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestApi, type TestApi } from '../../support/api.ts';

let api: TestApi;
let server: Server;
beforeAll(async () => {
  api = await startTestApi();
  server = createServer(api.app).listen(0);
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await api.close();
});

/** Paths that nobody knows, and known ones with ids that nobody gave out. */
const paths = [
  (id: string) => `/${id}`,
  (id: string) => `/v1/${id}`,
  (id: string) => `/v1/gifts/${id}/${id}`,
  (id: string) => `/v1/gifts/${id}`,
  (id: string) => `/claim/${id}`,
  (id: string) => `/v1/gifts?external_id=${id}`,
];

const series = async () =>
  [...(await api.deps.metrics.render()).body.matchAll(/^largesse_http_request_seconds_count\{(.*)\} /gm)].map(
    ([, labels = '']) => labels,
  );

test('P171: whatever is asked for, a series is a method, a route of ours and a status', async () => {
  const { port } = server.address() as AddressInfo;
  const marker = 'mallory';
  const ask = async (method: string) => {
    const asked = paths.map((path) =>
      fetch(`http://127.0.0.1:${port}${path(`${marker}-${randomUUID()}`)}`, { method }),
    );
    for (const answer of await Promise.all(asked)) await answer.arrayBuffer();
  };
  const methods = ['GET', 'DELETE', 'PURGE', 'POST'];
  for (const method of methods) await ask(method);
  const before = await series();
  for (let round = 0; round < 50; round += 1) for (const method of methods) await ask(method);
  expect((await series()).sort()).toEqual(before.sort());
  const { body } = await api.deps.metrics.render();
  expect(body).not.toContain(marker);
  const unmatched = before.filter((labels) => labels.includes('route="unmatched"'));
  expect(unmatched.length).toBeGreaterThan(0);
  expect(new Set(unmatched).size).toBe(unmatched.length);
});

test('P171: a hundred thousand requests to routes that are none add one series per method and status', async () => {
  const before = (await series()).filter((labels) => labels.includes('unmatched'));
  for (let request = 0; request < 100_000; request += 1) {
    api.deps.metrics.observeHttp({
      method: `M${request}`,
      route: undefined,
      status: request % 2 === 0 ? 404 : 405,
      seconds: 0.001,
    });
  }
  const after = (await series()).filter((labels) => labels.includes('unmatched'));
  expect(after.length - before.length).toBeLessThanOrEqual(2);
});
