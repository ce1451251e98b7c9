import { Writable } from 'node:stream';

/** Bytes that may wait for whoever reads the stream: a reader that is frozen must not take the memory too. */
const MAX_WAITING_BYTES = 1_000_000;

export interface OutletEvents {
  /** A line was not written: the reader is gone or frozen, or the disk behind the stream is full. */
  readonly onDropped: () => void;
  /** A line was written again after `dropped` ones were not. */
  readonly onHeardAgain: (dropped: number) => void;
}

/**
 * The stream of the log, made safe to write to whatever happens at its other end. A log reader that goes away (EPIPE)
 * fails every write; unheard, such an error is an uncaught exception, whose log line fails in the same way, without end.
 * Here a line that can't be written is dropped and counted, nothing more: deliveries go on without a log.
 */
export function guardOutlet(stream: NodeJS.WritableStream, events: OutletEvents): Writable {
  listenForErrors(stream);
  let dropped = 0;
  const settle = (error?: Error | null) => {
    if (error) {
      dropped += 1;
      events.onDropped();
    } else if (dropped > 0) {
      const count = dropped;
      dropped = 0;
      events.onHeardAgain(count);
    }
  };
  return new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      write(stream, line, settle);
      done();
    },
  });
}

const heard = new WeakSet<NodeJS.WritableStream>();

/** Every write tells its own end; the event only must not find nobody listening. Once per stream, however many loggers. */
function listenForErrors(stream: NodeJS.WritableStream): void {
  if (heard.has(stream)) return;
  heard.add(stream);
  stream.on('error', () => undefined);
}

function write(stream: NodeJS.WritableStream, line: string, settle: (error?: Error | null) => void): void {
  const waiting = 'writableLength' in stream ? Number(stream.writableLength) : 0;
  if (waiting > MAX_WAITING_BYTES) {
    settle(new Error('the reader of the log does not read'));
    return;
  }
  try {
    stream.write(line, settle);
  } catch (error) {
    settle(error instanceof Error ? error : new Error(String(error)));
  }
}
