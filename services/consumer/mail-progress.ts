import type { Readable } from 'node:stream';
import type { Transporter } from 'nodemailer';

/** How far one mail has come on its way out. */
export type SendProgress = {
  /** it was given to a connection; before that it only waited for one */
  begun: () => boolean;
  /** a byte of its content was asked for, which happens after the server said yes to DATA */
  contentGiven: () => boolean;
};

/**
 * Watches what `transport` does with each mail. An error alone can't tell whether a mail may have been accepted: a time-out
 * looks the same before and after DATA. The one stream that nodemailer opens per mail, when a connection takes it, can.
 *
 * @returns a function that gives the progress of the send that was given this very signal
 */
export function watchProgress(transport: Transporter): (signal: AbortSignal) => SendProgress {
  const streams = new WeakMap<AbortSignal, Readable[]>();
  transport.use('stream', (mail, done) => {
    const { signal } = mail.data;
    const { message } = mail;
    if (signal && message) {
      const open = message.createReadStream.bind(message);
      message.createReadStream = (options) => {
        const stream = open(options);
        streams.get(signal)?.push(stream);
        return stream;
      };
    }
    done();
  });
  return (signal) => {
    const opened: Readable[] = [];
    streams.set(signal, opened);
    return {
      begun: () => opened.length > 0,
      contentGiven: () => opened.some((stream) => stream.readableDidRead),
    };
  };
}
