import { closeSync, mkdirSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import { createStream } from 'rotating-file-stream';

export interface LogFileOptions {
  readonly path: string;
  readonly maxBytes: number;
  readonly maxFiles: number;
}

export interface LogFile {
  write(line: string): void;
  /** Settles once all lines are in the file. */
  close(): Promise<void>;
}

/** Bytes that may wait for the disk: a disk that takes no more must not take the memory too. */
const maxWaitingBytes = 1_000_000;

/**
 * A rotated log file (`api.log`, `api.log.1`, …), apart from the stream: a full disk must not silence both.
 *
 * @param onStalled told once, when the disk takes no more and lines are dropped
 * @throws Error when the file can't be opened: better at the start than unnoticed
 */
export function openLogFile({ path, maxBytes, maxFiles }: LogFileOptions, onStalled: () => void): LogFile {
  assertWritable(path);
  const out = createStream(basename(path), {
    path: dirname(path),
    size: `${maxBytes}B`,
    rotate: Math.max(1, maxFiles - 1),
  });
  let state: 'open' | 'stalled' | 'closed' = 'open';
  const stall = () => {
    if (state === 'open') {
      state = 'stalled';
      onStalled();
    }
  };
  out.on('error', stall);
  return {
    write: (line) => {
      if (state !== 'open') return;
      out.write(`${line}\n`);
      if (out.writableLength > maxWaitingBytes) stall();
    },
    close: async () => {
      const open = state === 'open';
      state = 'closed';
      if (!out.writableEnded) out.end();
      if (open) await finished(out);
    },
  };
}

function assertWritable(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    closeSync(openSync(path, 'a'));
  } catch (cause) {
    throw new Error(`The log file ${path} can not be written: give LOG_FILE a path that can.`, { cause });
  }
}
