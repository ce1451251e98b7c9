import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { marker, rawCases, sendRaw } from '../../fuzz/sockets.ts';
import { startTestApi, type TestApi } from '../../support/api.ts';

let api: TestApi;
let server: Server;
let key: string;
beforeAll(async () => {
  api = await startTestApi();
  ({ key } = await api.sender());
  server = createServer(api.app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await api.close();
});

test('whatever bytes come in, the answer is no fault of ours, quotes nothing, and nothing of them is logged', async () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const cases = rawCases(key);
  expect(cases.length).toBeGreaterThan(50);
  const told = await Promise.all(cases.map(async (one) => [one.name, await sendRaw(url, one)]));
  expect(told.filter(([, problem]) => problem !== null)).toEqual([]);
  const lines = api.logged();
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  expect(JSON.stringify(lines)).not.toContain(marker);
});
