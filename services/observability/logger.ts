import winston from 'winston';
import { currentContext } from './context.ts';
import { type LogFile, type LogFileOptions, openLogFile } from './log-file.ts';
import { guardOutlet } from './log-outlet.ts';
import { prettyLine } from './log-pretty.ts';
import { type LogLevel, type LogRecord, toLogField, toText } from './log-record.ts';
import { currentTraceId } from './tracing.ts';

/** What belongs to one event, in snake_case. Every text in it is scrubbed; `error` is written with its causes. */
export interface LogFields {
  readonly error?: unknown;
  readonly marker?: '[MONITOR]' | '[METRICS]';
  readonly [field: string]: unknown;
}

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with fields that every line of it carries. */
  child(fields: LogFields): Logger;
  /** Flushes and closes the log file; lines that come later reach the stream only. */
  close(): Promise<void>;
}

export interface LoggerOptions {
  readonly service: string;
  readonly level?: LogLevel | undefined;
  /** Left out, a terminal gets `pretty` and all else `json`. */
  readonly format?: 'json' | 'pretty' | undefined;
  /** A rotated copy in JSON: at most `maxFiles` files of `maxBytes`. */
  readonly file?: LogFileOptions | undefined;
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly clock?: () => Date;
  /** Told of every line that could not be written, and where. It must not log. */
  readonly onDropped?: ((sink: DropSink) => void) | undefined;
}

/** `record`: the line could not even be made, for example because a field of it throws when it is read. */
export type DropSink = 'stream' | 'file' | 'record';

interface Sink {
  readonly service: string;
  readonly clock: () => Date;
  readonly out: winston.Logger;
  readonly file: LogFile | undefined;
  readonly onDropped: (sink: DropSink) => void;
}

const LEVELS: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

/**
 * JSON lines `level time msg service request_id trace_id gift_id message_id receive_count marker …`, or lines for a
 * person. Ids of the context (`withContext`) and of the active span are added to each by themselves.
 */
export function createLogger(options: LoggerOptions): Logger {
  return bind(openSink(options), {});
}

function bind(sink: Sink, bound: LogFields): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (!sink.out.isLevelEnabled(level)) return;
      // Made here and not in a winston format: under back-pressure those run later, in somebody else's context.
      const record = recordOrNote(sink, level, message, () => ({
        ...currentContext(),
        ...traceFields(),
        ...bound,
        ...fields,
      }));
      try {
        sink.out.log({ level, message: '', record });
        sink.file?.write(JSON.stringify(record));
      } catch {
        sink.onDropped('record');
      }
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => bind(sink, { ...bound, ...fields }),
    close: () => sink.file?.close() ?? Promise.resolve(),
  };
}

function traceFields(): LogFields {
  const traceId = currentTraceId();
  return traceId === undefined ? {} : { trace_id: traceId };
}

/** A logger never throws: its caller may be the handler of a failure, and would fail with it. */
function recordOrNote(sink: Sink, level: LogLevel, message: string, fields: () => LogFields): LogRecord {
  try {
    return toRecord(sink, level, message, fields());
  } catch {
    sink.onDropped('record');
    const note = { event: 'log_record_lost', lost_level: level };
    return toRecord(sink, 'error', 'a log line could not be made', note);
  }
}

/** The order in which a person looks for them; what is specific to an event follows. */
const LEADING = ['request_id', 'trace_id', 'gift_id', 'message_id', 'receive_count', 'marker'] as const;

function toRecord(sink: Sink, level: LogLevel, message: string, fields: LogFields): LogRecord {
  const head = {
    level,
    time: sink.clock().toISOString(),
    msg: toText(message),
    service: sink.service,
  };
  const entries = [...LEADING, ...Object.keys(fields)]
    .filter((key) => !(key in head) && fields[key] !== undefined)
    .map((key) => [toText(key), toLogField(key, fields[key])] as const);
  return Object.assign(head, Object.fromEntries(entries));
}

function openSink(options: LoggerOptions): Sink {
  const stream = options.stream ?? process.stdout;
  const pretty = (options.format ?? (stream.isTTY ? 'pretty' : 'json')) === 'pretty';
  const render = (record: LogRecord) =>
    pretty ? prettyLine(record, stream.isTTY === true) : JSON.stringify(record);
  const { service, clock = () => new Date(), onDropped = () => undefined } = options;
  const outlet = guardOutlet(stream, {
    onDropped: () => onDropped('stream'),
    onHeardAgain: (dropped) => tell('log lines were dropped: nobody took them', { dropped }),
  });
  const out = winston.createLogger({
    levels: { ...LEVELS },
    level: options.level ?? 'info',
    format: winston.format.printf((info) => render(info['record'] as LogRecord)),
    transports: [new winston.transports.Stream({ stream: outlet })],
  });
  const sink = { service, clock, out, file: undefined, onDropped };
  const tell = (message: string, fields: LogFields = {}) =>
    bind(sink, {}).warn(message, { event: 'log_records_dropped', ...fields });
  if (options.file === undefined) return sink;
  const file = openLogFile(options.file, {
    onStalled: () => tell('the log file takes no more: lines are dropped'),
    onHealed: (dropped) => tell('the log file takes lines again', { dropped }),
    onDropped: () => onDropped('file'),
    nowMs: () => performance.now(),
  });
  return { ...sink, file };
}
