import { renameSync, unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';

/**
 * Claims a path for this process alone by listening on a unix socket there. The kernel drops the claim with the
 * process, so that nothing stale survives a kill -9, unlike a file with a process id in it.
 * Keep the path relative and short: a socket's address holds 107 bytes, an absolute clone path may not fit.
 *
 * @param {string} path
 * @param {(socket: import('node:net').Socket) => void} onConnection what to do with others who ask
 * @returns {Promise<{server: import('node:net').Server} | {holder: import('node:net').Socket}>} ours, or a
 *   connection to the one who holds it; that connection closes when the holder lets go
 */
export async function claimSocket(path, onConnection = keepOpen) {
  for (;;) {
    const server = createServer(onConnection);
    const refused = await listen(server, path);
    if (refused === undefined) return { server };
    if (refused.code !== 'EADDRINUSE') throw refused;
    const holder = await connectTo(path);
    if (holder !== undefined) return { holder };
    await removeDead(path);
  }
}

/** @returns {Promise<import('node:net').Socket | undefined>} undefined when nobody listens there */
export function connectTo(path) {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error) => {
      const nobody = error.code === 'ECONNREFUSED' || error.code === 'ENOENT';
      if (nobody) resolve(undefined);
      else reject(error);
    });
  });
}

function keepOpen(socket) {
  // A waiter that is killed resets its connection, which must not end the holder.
  socket.on('error', () => socket.destroy());
}

function listen(server, path) {
  return new Promise((resolve) => {
    server.once('error', resolve);
    server.listen(path, () => resolve(undefined));
  });
}

/** Two who find the same dead socket must not remove the live one that the first of them has just put in its place. */
async function removeDead(path) {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  const alive = await connectTo(aside);
  if (alive === undefined) return unlinkSync(aside);
  alive.destroy();
  renameSync(aside, path);
}
