import { closeSync, mkdirSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import { createStream } from 'rotating-file-stream';

export interface LogFileOptions {
  readonly path: string;
  readonly maxBytes: number;
  readonly maxFiles: number;
}

export interface LogFileEvents {
  /** Told once when the disk takes no more, and once when it takes lines again. */
  readonly onStalled: () => void;
  readonly onHealed: (dropped: number) => void;
  /** Told of every line that is not in the file. */
  readonly onDropped: () => void;
  readonly nowMs: () => number;
}

export interface LogFile {
  write(line: string): void;
  /** Settles once all lines are in the file. */
  close(): Promise<void>;
}

/** Bytes that may wait for the disk: a disk that takes no more must not take the memory too. */
const maxWaitingBytes = 1_000_000;

/** Somebody frees a full disk within minutes; a file that is opened for every line costs more than the line. */
const retryAfterMs = 10_000;

type Out = ReturnType<typeof createStream>;

/**
 * A rotated log file (`api.log`, `api.log.1`, …), apart from the stream: a full disk must not silence both. While the
 * disk takes no more, lines are dropped and counted, and the file is opened anew every ten seconds.
 *
 * @throws Error when the file can't be opened: better at the start than unnoticed
 */
export function openLogFile(options: LogFileOptions, events: LogFileEvents): LogFile {
  assertWritable(options.path);
  // `probing`: opened again, and nobody knows yet whether a line gets through.
  let state: 'open' | 'stalled' | 'probing' | 'closed' = 'open';
  let retryAt = 0;
  let dropped = 0;
  const drop = () => {
    dropped += 1;
    events.onDropped();
  };
  const stall = (stream: Out) => {
    if (stream !== out || state === 'stalled' || state === 'closed') return;
    if (state === 'open') events.onStalled();
    state = 'stalled';
    retryAt = events.nowMs() + retryAfterMs;
    stream.destroy();
  };
  const watched = (stream: Out) => stream.on('error', () => stall(stream));
  const written = () => {
    if (state !== 'probing') return;
    state = 'open';
    events.onHealed(dropped);
    dropped = 0;
  };
  const reopen = () => {
    retryAt = events.nowMs() + retryAfterMs;
    const again = tryToOpen(options);
    if (again === undefined) return;
    out = watched(again);
    state = 'probing';
  };
  let out = watched(openStream(options));
  return {
    write: (line) => {
      if (state === 'stalled' && events.nowMs() >= retryAt) reopen();
      if (state === 'closed') return;
      if (state === 'stalled') return drop();
      out.write(`${line}\n`, (error) => (error ? drop() : written()));
      if (out.writableLength > maxWaitingBytes) stall(out);
    },
    close: async () => {
      const open = state === 'open' || state === 'probing';
      state = 'closed';
      if (!out.writableEnded) out.end();
      // What the disk did not take is counted line by line: a log that was lost is no failure of the role.
      if (open) await finished(out).catch(() => undefined);
    },
  };
}

function openStream({ path, maxBytes, maxFiles }: LogFileOptions): Out {
  return createStream(basename(path), {
    path: dirname(path),
    size: `${maxBytes}B`,
    rotate: Math.max(1, maxFiles - 1),
  });
}

function tryToOpen(options: LogFileOptions): Out | undefined {
  try {
    assertWritable(options.path);
    return openStream(options);
  } catch {
    return undefined;
  }
}

function assertWritable(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    closeSync(openSync(path, 'a'));
  } catch (cause) {
    throw new Error(`The log file ${path} can not be written: give LOG_FILE a path that can.`, { cause });
  }
}
