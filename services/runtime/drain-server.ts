import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Longer than a client that is at work leaves its connection alone, and a small part of any grace period. */
const LAST_ANSWER_MS = 1_000;
const LOOK_MS = 50;

/**
 * Makes a server that can be drained. First it tells each client with the next answer that its connection ends: one that was closed while it
 * lay idle could have the next request on its way already, which would get no answer. Then it takes no new connection, lets the
 * requests under way end, and closes each connection as soon as it lies idle. One on which nothing has ever been sent counts as
 * busy to Node, and a client that opened one ahead of its needs, or gave its request up while it connected, would hold up the end for
 * as long as it likes.
 *
 * @returns what drains it, and resolves when the last connection has ended
 */
export function drainable(server: Server): () => Promise<void> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return async () => {
    server.prependListener('request', (_request, response) => response.setHeader('connection', 'close'));
    const untilMs = performance.now() + LAST_ANSWER_MS;
    while ([...sockets].some(isUsed) && performance.now() < untilMs) await pause(LOOK_MS);
    await close(server, sockets);
  };
}

function close(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const closeIdle = () => {
    server.closeIdleConnections();
    for (const socket of sockets) if (!isUsed(socket)) socket.destroy();
  };
  return new Promise((resolve, reject) => {
    const closing = setInterval(closeIdle, LOOK_MS);
    server.close((error) => {
      clearInterval(closing);
      if (error) reject(error);
      else resolve();
    });
    closeIdle();
  });
}

const isUsed = (socket: Socket) => socket.bytesRead > 0;
