import { scrubText } from './scrub.ts';

/** What a log line is made of; JSON-ready, without cycles, scrubbed. */
export type LogValue =
  | string
  | number
  | boolean
  | null
  | readonly LogValue[]
  | { readonly [key: string]: LogValue };

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export type LogRecord = {
  readonly level: LogLevel;
  readonly time: string;
  readonly msg: string;
  readonly service: string;
} & {
  readonly [field: string]: LogValue;
};

const MAX_DEPTH = 8;
const MAX_ENTRIES = 100;
/** A response body of a megabyte in an error message has filled a disk before. */
const MAX_TEXT = 16_384;
const MAX_CAUSES = 8;

/** Any value as it may be logged: texts scrubbed, errors with their causes, telling keys hidden, size bounded. */
function toLogValue(value: unknown, depth = 0): LogValue {
  switch (typeof value) {
    case 'string':
      return toText(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : fromObject(value, depth);
    case 'bigint':
    case 'symbol':
      return toText(String(value));
    default:
      return `[${typeof value}]`;
  }
}

export function toText(text: string): string {
  const scrubbed = scrubText(text);
  if (scrubbed.length <= MAX_TEXT) return scrubbed;
  return `${scrubbed.slice(0, MAX_TEXT)}… [${scrubbed.length - MAX_TEXT} more characters]`;
}

function fromObject(value: object, depth: number): LogValue {
  if (value instanceof Error) return fromError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (value instanceof URL) return toText(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= MAX_DEPTH) return '[too deep]';
  if (Array.isArray(value))
    return value.slice(0, MAX_ENTRIES).map((element) => toLogValue(element, depth + 1));
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries
      .filter(([, inner]) => inner !== undefined)
      .slice(0, MAX_ENTRIES)
      .map(([key, inner]) => [toText(String(key)), toLogField(String(key), inner, depth + 1)]),
  );
}

/** Only what is known to be safe: `detail` of a PostgreSQL error quotes the row, `response` of SMTP the address. */
function fromError(error: Error, depth: number): LogValue {
  const code =
    'code' in error && (typeof error.code === 'string' || typeof error.code === 'number')
      ? error.code
      : undefined;
  const several = error instanceof AggregateError ? error.errors.slice(0, MAX_CAUSES) : undefined;
  return {
    name: error.name,
    ...(code === undefined ? {} : { code: toLogValue(code) }),
    message: toText(error.message),
    ...(error.stack === undefined ? {} : { stack: toText(error.stack) }),
    ...(several === undefined ? {} : { errors: several.map((inner: unknown) => toCause(inner, depth)) }),
    ...(error.cause === undefined ? {} : { cause: toCause(error.cause, depth) }),
  };
}

function toCause(cause: unknown, depth: number): LogValue {
  return depth >= MAX_CAUSES ? '[more causes]' : toLogValue(cause, depth + 1);
}

/** Names that promise a secret or personal data; what such a field holds has often no telling form of its own. */
const TELLING_KEY =
  /^(?:.*[_-])?(?:authorization|cookie|password|passwd|secret|token|api_?key|private_?key|claim_url|email|e_mail|wallet|wallet_address|voucher_code|otp)$/i;

/** The value of a field, by its name as well as by its looks. Counts and flags are harmless under any name. */
export function toLogField(key: string, value: unknown, depth = 0): LogValue {
  const harmless = typeof value === 'number' || typeof value === 'boolean' || value === null;
  return !harmless && TELLING_KEY.test(key) ? '[redacted]' : toLogValue(value, depth);
}
