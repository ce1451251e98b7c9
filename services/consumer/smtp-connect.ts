import { connect, type Socket } from 'node:net';
import type { SmtpServer } from '../runtime/smtp-url.ts';
import { SmtpClock, type SmtpTimes } from './smtp-clock.ts';

type SocketCallback = (error: Error | null, options?: object) => void;

/**
 * How nodemailer's pool gets its connections: opened here, so that every wait on them has the time that it is due.
 * A connection whose time is over is destroyed, and whatever was under way on it fails.
 *
 * @param onSender told of the clock of the connection on which a mail begins
 */
export function connectionsTo(server: SmtpServer, times: SmtpTimes, onSender: (clock: SmtpClock) => void) {
  return (_options: unknown, done: SocketCallback): void => {
    // A host with several addresses: the next one is tried while there is time left, not after Node's 250 ms.
    const perAddressMs = Math.max(250, Math.floor(times.connect / 4));
    const socket = connect({
      host: server.host,
      port: server.port,
      autoSelectFamilyAttemptTimeout: perAddressMs,
    });
    const clock: SmtpClock = new SmtpClock(times, {
      expired: () => socket.destroy(new SmtpTimeoutError(clock.expired ?? 'connect')),
      sender: () => onSender(clock),
    });
    clock.expect('connect');
    socket.once('close', () => clock.stop());
    handOver(socket, clock, done);
  };
}

function handOver(socket: Socket, clock: SmtpClock, done: SocketCallback): void {
  const fail = (error: Error) => done(Object.assign(error, { code: 'ECONNECTION' }));
  socket.once('error', fail);
  socket.once('connect', () => {
    socket.removeListener('error', fail);
    clock.expect('greeting');
    done(null, { connection: socket, logger: clock.logger, transactionLog: true });
  });
}

/** A mail server that fell silent. */
export class SmtpTimeoutError extends Error {
  override readonly name = 'SmtpTimeoutError';
  readonly code = 'ETIMEDOUT';
  readonly phase: string;

  constructor(phase: string, options?: ErrorOptions) {
    super(`the mail server was silent for too long (${phase})`, options);
    this.phase = phase;
  }
}
