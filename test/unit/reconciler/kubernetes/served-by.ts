import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { ApiClient, type ApiRequest } from '../../../../services/reconciler/kubernetes/api-client.ts';

type Answer = { status: number; body: unknown };

/** A client of an API server that answers what a test says, and what it was asked. */
export async function servedBy(answer: (request: ApiRequest) => Answer | Promise<Answer>) {
  const asked: ApiRequest[] = [];
  const server = createServer(async (incoming, response) => {
    const method = (incoming.method ?? 'GET') as ApiRequest['method'];
    const body = method === 'GET' ? undefined : await json(incoming);
    const request = { method, path: incoming.url ?? '', body };
    asked.push(request);
    const { status, body: told } = await answer(request);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(told));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new ApiClient({
    server: new URL(`http://127.0.0.1:${port}`),
    namespace: 'gifts',
    credentials: async () => ({}),
  });
  const close = async () => {
    client.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { client, asked, close };
}
