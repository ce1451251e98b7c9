import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Makes a server that can be drained: it then takes no new connection, lets the requests under way end, and closes each
 * connection as soon as it lies idle. One on which nothing has ever been sent counts as busy to Node, and a client that
 * opened one ahead of its needs, or gave its request up while it connected, would hold up the end for as long as it likes.
 *
 * @returns what drains it, and resolves when the last connection has ended
 */
export function drainable(server: Server): () => Promise<void> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const closeIdle = () => {
    server.closeIdleConnections();
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  };
  return () =>
    new Promise((resolve, reject) => {
      const closing = setInterval(closeIdle, 50);
      server.close((error) => {
        clearInterval(closing);
        if (error) reject(error);
        else resolve();
      });
      closeIdle();
    });
}
