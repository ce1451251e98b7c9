import type { AddressInfo, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { SMTPServer } from 'smtp-server';
import { type ReceivedMail, readMail } from './mail-text.ts';

/**
 * What the server does with a mail. `greeting` comes before anything is known of the mail, `sender` at MAIL FROM, `recipient`
 * at RCPT TO, `content` after the final dot: there a mail that is `kept` was accepted, whatever the client hears.
 */
export type MailBehaviour =
  | { kind: 'accept' }
  /** accepts when the promise says so */
  | { kind: 'accept'; after: Promise<void> }
  /** `text` after the code; without it 550 says that the user is unknown, and every other code nothing */
  | { kind: 'reply'; at: MailStage; code: number; text?: string }
  | { kind: 'hang' | 'drop'; at: Exclude<MailStage, 'content'> }
  | { kind: 'hang' | 'drop'; at: 'content'; kept: boolean };

export type MailStage = 'greeting' | 'sender' | 'recipient' | 'content';

export interface MailServer {
  url: string;
  /** Every mail that was accepted, oldest first, over all restarts. */
  mails(): ReceivedMail[];
  /** Connections that were opened, over all restarts. */
  connections(): number;
  /** How many times anything was held: a greeting, a recipient, a content. */
  held(): number;
  /** From now on. The function is asked at every stage of every mail; before RCPT TO, `to` is empty. */
  behave(choose: MailBehaviour | ((asked: { at: MailStage; to: string }) => MailBehaviour)): void;
  /** Cuts every connection; connecting is refused until `start()`. */
  stop(): Promise<void>;
  /** Listens on the same port again. */
  start(): Promise<void>;
}

/** A real SMTP server on a free port of 127.0.0.1. `stop()` it at the end. */
export async function startMailServer(): Promise<MailServer> {
  const mails: ReceivedMail[] = [];
  const sockets = new Set<Socket>();
  let choose: (asked: { at: MailStage; to: string }) => MailBehaviour = () => ({ kind: 'accept' });
  let connections = 0;
  let held = 0;
  let port = 0;
  let server: SMTPServer | undefined;

  const misbehave = (at: Exclude<MailStage, 'content'>, to: string, socketOf: () => Socket | undefined) => {
    const behaviour = choose({ at, to });
    if (behaviour.kind === 'accept' || behaviour.at !== at) return undefined;
    return perform(behaviour, to, socketOf);
  };
  const perform = (
    behaviour: Exclude<MailBehaviour, { kind: 'accept' }>,
    to: string,
    socketOf: () => Socket | undefined,
  ) => {
    if (behaviour.kind === 'reply') return refusal(behaviour, to);
    if (behaviour.kind === 'drop') socketOf()?.destroy();
    else held += 1;
    return 'silence' as const;
  };

  async function receive(
    stream: Readable,
    recipients: { address: string }[],
    socketOf: () => Socket | undefined,
  ) {
    const raw = await readAll(stream);
    const to = recipients.map(({ address }) => address);
    const behaviour = choose({ at: 'content', to: to[0] ?? '' });
    if (behaviour.kind === 'accept' && 'after' in behaviour) {
      held += 1;
      await behaviour.after;
    }
    const misbehaves = behaviour.kind !== 'accept' && behaviour.at === 'content';
    if (!misbehaves || ('kept' in behaviour && behaviour.kept)) mails.push(readMail(raw, to));
    return misbehaves ? perform(behaviour, to[0] ?? '', socketOf) : undefined;
  }

  function open(): Promise<void> {
    const smtp = new SMTPServer({
      authOptional: true,
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      onConnect(session, callback) {
        const done = misbehave('greeting', '', () => socketOn(sockets, session.remotePort));
        if (done !== 'silence') callback(done);
      },
      onMailFrom(_sender, session, callback) {
        const done = misbehave('sender', '', () => socketOn(sockets, session.remotePort));
        if (done !== 'silence') callback(done);
      },
      onRcptTo({ address }, session, callback) {
        const done = misbehave('recipient', address, () => socketOn(sockets, session.remotePort));
        if (done !== 'silence') callback(done);
      },
      onData(stream, session, callback) {
        void receive(stream, session.envelope.rcptTo, () => socketOn(sockets, session.remotePort)).then(
          (done) => {
            if (done !== 'silence') callback(done);
          },
          // The client went away in the middle of its mail: there is nobody to answer.
          () => undefined,
        );
      },
    });
    // A client that was killed or cut resets its connection; that is what the test does to it.
    smtp.on('error', () => undefined);
    smtp.server.on('connection', (socket: Socket) => {
      connections += 1;
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server = smtp;
    return new Promise((resolve, reject) => {
      smtp.server.once('error', reject);
      smtp.listen(port, '127.0.0.1', () => {
        port = (smtp.server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  await open();
  return {
    url: `smtp://127.0.0.1:${port}?tls=none`,
    mails: () => [...mails],
    connections: () => connections,
    held: () => held,
    behave(behaviour) {
      choose = typeof behaviour === 'function' ? behaviour : () => behaviour;
    },
    async stop() {
      const closing = server;
      server = undefined;
      if (closing === undefined) return;
      const closed = new Promise<void>((resolve) => closing.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    start: open,
  };
}

/** As servers do it, the refusal quotes the address. */
function refusal(
  { code, text }: { code: number; text?: string },
  to: string,
): Error & { responseCode: number } {
  const usual = code === 550 ? `5.1.1 <${to}>: User unknown` : `<${to}>: refused by the test`;
  return Object.assign(new Error(text ?? usual), { responseCode: code });
}

function socketOn(sockets: ReadonlySet<Socket>, remotePort: number): Socket | undefined {
  return [...sockets].find((socket) => socket.remotePort === remotePort);
}

async function readAll(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
