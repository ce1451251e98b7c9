import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { explainFailure } from '../../../../services/reconciler/failures.ts';
import { ApiClient } from '../../../../services/reconciler/kubernetes/api-client.ts';

/** What a request fails with at a server that does this. */
async function failureAt(answer: RequestListener) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const access = {
    server: new URL(`http://127.0.0.1:${port}`),
    namespace: 'gifts',
    credentials: async () => ({ headers: { authorization: 'Bearer first' } }),
  };
  const client = new ApiClient(access);
  const error = await client.request({ method: 'GET', path: '/' }).catch((caught: unknown) => caught);
  client.close();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  const failure = explainFailure(error, { databaseUrl: '', sqsEndpoint: undefined });
  return { outcome: failure?.outcome, message: failure?.message.replace(`:${port}`, '') };
}

const page = '<html>clt_secret</html>';

test.each<[string, string, RequestListener]>([
  [
    'is a page of a proxy in between',
    'what answers at 127.0.0.1 is no API server: 200 with text/html, and no object in it',
    (_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(page),
  ],
  [
    'is empty',
    'what answers at 127.0.0.1 is no API server: 200 with no type, and no object in it',
    (_request, response) => response.end(),
  ],
  [
    'is null: nobody takes it for an object that is not there',
    'what answers at 127.0.0.1 is no API server: 200 with application/json, and no object in it',
    (_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('null'),
  ],
  [
    'is cut in the middle',
    "the API server at 127.0.0.1 can't be reached (ECONNRESET)",
    (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"metadata":');
      setImmediate(() => response.destroy());
    },
  ],
  [
    'has no end: it does not fill the memory',
    'an answer is longer than 32 MiB: no API server has so much to say here',
    (_request, response) => {
      const more = Buffer.alloc(1024 * 1024, ' ');
      const go = () => {
        while (!response.destroyed && response.write(more));
      };
      response.on('drain', go);
      go();
    },
  ],
  [
    'is another protocol: nobody waits for ever',
    'the API server at 127.0.0.1 closed the connection without an answer',
    (_request, response) => {
      response.socket?.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
    },
  ],
])('an answer that %s is worth another try, in words', async (_what, message, answer) => {
  expect(await failureAt(answer)).toEqual({ outcome: 'again', message });
});

test('a redirection is not followed: the token is for nobody else', async () => {
  let asked = 0;
  const failure = await failureAt((_request, response) => {
    asked += 1;
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  expect([asked, failure]).toEqual([1, { outcome: 'needs_person', message: 'the API server answered 302' }]);
});

test('a refusal of megabytes is told in a thousand characters', async () => {
  const failure = await failureAt((_request, response) =>
    response.writeHead(422).end(JSON.stringify({ message: 'x'.repeat(5_000_000) })),
  );
  expect(failure.message).toHaveLength(1_000);
});
