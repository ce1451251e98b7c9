import { Readable } from 'node:stream';
import type { Transporter } from 'nodemailer';
import type { SmtpClock, SmtpPhase } from './smtp-clock.ts';

/** How far one mail has come on its way out. */
export type SendProgress = {
  /** it was given to a connection; before that it only waited for one */
  begun: () => boolean;
  /** a byte of its content was asked for, which happens after the server said yes to DATA */
  contentGiven: () => boolean;
  /** what the server was waited for in vain, when that ended the mail's connection */
  silentAt: () => SmtpPhase | undefined;
};

type Watched = { streams: Readable[]; clock?: SmtpClock; mayLeave?: () => Promise<void> };

/**
 * Watches what a transport does with each mail. An error alone can't tell whether a mail may have been accepted: a time-out
 * looks the same before and after DATA. The one stream that nodemailer opens per mail, when a connection takes it, can.
 */
export function watchProgress() {
  const mails = new WeakMap<AbortSignal, Watched>();
  /** The mail whose stream was opened last: its first command follows in the same tick. */
  let opened: Watched | undefined;
  return {
    watch: (transport: Transporter): void => {
      transport.use('stream', (mail, done) => {
        const watched = mail.data.signal && mails.get(mail.data.signal);
        const { message } = mail;
        if (watched && message) {
          const open = message.createReadStream.bind(message);
          message.createReadStream = (options) => {
            const stream = open(options);
            watched.streams.push(stream);
            opened = watched;
            return watched.mayLeave === undefined ? stream : afterwards(watched.mayLeave, stream);
          };
        }
        done();
      });
    },
    /** A mail begins on the connection of this clock. */
    begunOn: (clock: SmtpClock): void => {
      if (opened) opened.clock = clock;
      opened = undefined;
    },
    /** The progress of the send that is given this very signal. */
    send: (signal: AbortSignal, mayLeave?: () => Promise<void>): SendProgress => {
      const watched: Watched = { streams: [], ...(mayLeave && { mayLeave }) };
      mails.set(signal, watched);
      return {
        begun: () => watched.streams.length > 0,
        contentGiven: () => watched.streams.some((stream) => stream.readableDidRead),
        silentAt: () => watched.clock?.expired,
      };
    },
  };
}

/** Asks when the server asks for the content, not before: until then the mail is certain not to be out. */
function afterwards(mayLeave: () => Promise<void>, content: Readable): Readable {
  async function* guarded() {
    await mayLeave();
    yield* content;
  }
  return Readable.from(guarded(), { objectMode: false }).once('close', () => content.destroy());
}
