import { styleText } from 'node:util';
import type { LogLevel, LogRecord, LogValue } from './log-record.ts';

const COLOURS = { error: 'red', warn: 'yellow', info: 'green', debug: 'gray' } as const satisfies Record<
  LogLevel,
  string
>;

/** A line for a person at a terminal; the stack of an error, and of its causes, follows indented. */
export function prettyLine(record: LogRecord, colour: boolean): string {
  const { level, time, msg, service, error, ...fields } = record;
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const head = [
    paint('gray', time.slice(11, 23)),
    paint(COLOURS[level], level.toUpperCase().padEnd(5)),
    paint('cyan', service),
    msg,
    ...Object.entries(fields).map(([key, value]) => `${paint('gray', `${key}=`)}${show(value)}`),
  ];
  return [head.join(' '), ...errorLines(error)].join('\n');
}

function show(value: LogValue): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function errorLines(error: LogValue | undefined, prefix = ''): string[] {
  if (error === undefined) return [];
  if (!isRecord(error)) return [`    ${prefix}${show(error)}`];
  const text = error['stack'] ?? `${String(error['name'])}: ${String(error['message'])}`;
  const lines = `${prefix}${typeof text === 'string' ? text : show(text)}`
    .split('\n')
    .map((line) => `    ${line}`);
  const several = Array.isArray(error['errors']) ? error['errors'] : [];
  return [...lines, ...[...several, error['cause']].flatMap((cause) => errorLines(cause, 'caused by '))];
}

function isRecord(value: LogValue): value is { readonly [key: string]: LogValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
