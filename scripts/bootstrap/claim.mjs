import { mkdirSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** Far above the milliseconds that a takeover takes: whoever began it that long ago was killed in the middle. */
const TAKEOVER_MS = 5_000;

/**
 * Claims a path for this process alone by listening on a unix socket there. The kernel drops the claim with the
 * process, so that nothing stale holds after a kill -9, unlike a file with a process id in it.
 * Keep the path relative and short: a socket's address holds 107 bytes, an absolute clone path may not fit.
 *
 * @param {string} path
 * @param {(socket: import('node:net').Socket) => void} onConnection what to do with others who ask
 * @returns ours to `release()`, or a connection to its `holder`, which closes when that one lets go
 */
export async function claimSocket(path, onConnection = () => undefined) {
  for (;;) {
    const sockets = new Set();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      // A waiter that is killed resets its connection, which must not end the holder.
      socket.on('error', () => socket.destroy());
      onConnection(socket);
    });
    const refused = await listen(server, path);
    if (refused === undefined) return { release: () => release(server, sockets) };
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

/** Closing a server leaves its connections open, and who waits for the claim waits for the end of one. */
function release(server, sockets) {
  server.close();
  for (const socket of sockets) socket.destroySoon();
}

function listen(server, path) {
  return new Promise((resolve) => {
    server.once('error', resolve);
    server.listen(path, () => resolve(undefined));
  });
}

/**
 * One at a time, and looking again first: of two who found the same dead socket, the slower would otherwise remove the
 * live one that the faster has meanwhile put in its place.
 */
async function removeDead(path) {
  const turn = `${path}.takeover`;
  try {
    mkdirSync(turn);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    if (ageMs(turn) > TAKEOVER_MS) rmdirIfThere(turn);
    return wait(20);
  }
  try {
    if (!(await isAlive(path))) unlinkIfThere(path);
  } finally {
    rmdirIfThere(turn);
  }
}

/** Looks twice: a socket that was bound a moment ago and does not listen yet refuses as a dead one does. */
async function isAlive(path) {
  for (const pauseMs of [0, 100]) {
    await wait(pauseMs);
    const alive = await connectTo(path);
    alive?.destroy();
    if (alive !== undefined) return true;
  }
  return false;
}

function ageMs(folder) {
  return Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
}

function unlinkIfThere(path) {
  ignoreMissing(() => unlinkSync(path));
}

function rmdirIfThere(folder) {
  ignoreMissing(() => rmdirSync(folder));
}

function ignoreMissing(remove) {
  try {
    remove();
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}
