import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { drainable } from '../../../services/runtime/drain-server.ts';

let server: Server;
let drain: () => Promise<void>;
let agent: Agent;
beforeEach(async () => {
  server = createServer((_request, response) => response.end('ok'));
  drain = drainable(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // One connection, kept: what a client at work has.
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
});
afterEach(() => {
  agent.destroy();
  server.closeAllConnections();
});

async function ask(): Promise<IncomingMessage> {
  const { port } = server.address() as AddressInfo;
  const asked = request({ port, host: '127.0.0.1', agent }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return response;
}

describe('a server that is drained', () => {
  test('answers on a connection that a client keeps, and says with the answer that it ends', async () => {
    expect((await ask()).headers.connection).toBe('keep-alive');
    const drained = drain();
    expect((await ask()).headers.connection).toBe('close');
    await drained;
    expect(server.listening).toBe(false);
  });

  test('closes a connection that nobody uses any more', async () => {
    await ask();
    const [socket] = Object.values(agent.freeSockets).flat();
    const closed = once(socket ?? server, 'close');
    await drain();
    await closed;
    expect(server.listening).toBe(false);
  });

  test('waits for no connection on which nothing was ever sent', async () => {
    const silent = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(silent, 'connect');
    const closed = once(silent, 'close');
    await drain();
    await closed;
  });
});
