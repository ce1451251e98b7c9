import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import winston from 'winston';

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

/** Lines that may wait for the disk. winston swallows a write that failed and waits for ever: it must not take memory too. */
const MAX_WAITING = 1_000;

/**
 * A rotated log file, with a winston logger of its own: beside the stream in one logger, a full disk would silence both.
 *
 * @param onStalled told once, when the disk takes no more and lines are dropped
 * @throws Error when the file can't be opened: better at the start than unnoticed
 */
export function openLogFile({ path, maxBytes, maxFiles }: LogFileOptions, onStalled: () => void): LogFile {
  assertWritable(path);
  const transport = new winston.transports.File({
    filename: path,
    maxsize: maxBytes,
    maxFiles,
    tailable: true,
    format: winston.format.printf(({ message }) => String(message)),
  });
  const out = winston.createLogger({ transports: [transport] });
  let stalled = false;
  let closing: Promise<void> | undefined;
  const stall = () => {
    if (!stalled) onStalled();
    stalled = true;
  };
  out.on('error', stall);
  return {
    write: (line) => {
      if (closing !== undefined) return;
      if (out.writableLength > MAX_WAITING) stall();
      else out.info(line);
    },
    close: () => {
      closing ??= stalled ? Promise.resolve() : new Promise((resolve) => transport.once('finish', resolve));
      if (!out.writableEnded) out.end();
      return closing;
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
