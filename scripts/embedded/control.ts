import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { claimSocket, connectTo } from '../bootstrap/claim.mjs';
import { CONTROL_SOCKET } from './folder.ts';

export type ControlCommand = 'status' | 'mail start' | 'mail stop' | 'stop';

/** Answers one command with the text to show; what it throws is shown too, as a failure. */
export type ControlHandler = (command: ControlCommand) => Promise<string>;

interface Answer {
  ok: boolean;
  text: string;
}

/**
 * Claims this clone for one running system. The socket is the lock and the way to talk to it at once: one command per
 * connection, a line there and a line of JSON back.
 * @returns how to let go; undefined when a system runs (or starts) here already
 */
export async function claimControl(handle: ControlHandler): Promise<(() => void) | undefined> {
  const { release, holder } = await claimSocket(CONTROL_SOCKET, (socket) => serve(socket, handle));
  holder?.destroy();
  return release;
}

/** Asks the running system; undefined when none runs in this clone. */
export async function askRunning(command: ControlCommand): Promise<Answer | undefined> {
  const socket = await connectTo(CONTROL_SOCKET);
  if (socket === undefined) return undefined;
  socket.write(`${command}\n`);
  const line = await firstLine(socket);
  socket.destroy();
  return line === undefined ? { ok: true, text: 'It has stopped.' } : (JSON.parse(line) as Answer);
}

/** For the small commands: prints the answer and resolves with the exit code. */
export async function tellRunning(command: ControlCommand): Promise<number> {
  const answer = await askRunning(command);
  if (answer === undefined) {
    console.error('Largesse is not running from this clone. Start it with: npm start');
    return 1;
  }
  (answer.ok ? console.log : console.error)(answer.text);
  return answer.ok ? 0 : 1;
}

async function serve(socket: Socket, handle: ControlHandler): Promise<void> {
  const command = await firstLine(socket);
  if (command === undefined) return;
  const answer = await handle(command as ControlCommand).then(
    (text): Answer => ({ ok: true, text }),
    (error: unknown): Answer => ({ ok: false, text: error instanceof Error ? error.message : String(error) }),
  );
  socket.end(`${JSON.stringify(answer)}\n`);
}

/** Undefined when the other side hangs up without a word. */
function firstLine(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.on('error', () => resolve(undefined));
    createInterface({ input: socket })
      .once('line', resolve)
      .once('close', () => resolve(undefined));
  });
}
