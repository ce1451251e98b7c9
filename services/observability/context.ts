import { AsyncLocalStorage } from 'node:async_hooks';

/** What every log line within it carries. Ids only: never an address, a code or a token. */
export interface LogContext {
  request_id?: string;
  gift_id?: string;
  message_id?: string;
  receive_count?: number;
  sender_id?: string;
  [field: string]: string | number | boolean | undefined;
}

const storage = new AsyncLocalStorage<LogContext>();

/** Runs `fn` with `fields` added to the context; inner fields win. Also through awaits, timers and events within. */
export function withContext<T>(fields: LogContext, fn: () => T): T {
  return storage.run({ ...storage.getStore(), ...fields }, fn);
}

/** The fields in force here; empty outside any context. */
export function currentContext(): Readonly<LogContext> {
  return storage.getStore() ?? {};
}

/** Adds what was learnt on the way (the sender, once authenticated) to the context in force; without one, does nothing. */
export function extendContext(fields: LogContext): void {
  const context = storage.getStore();
  if (context !== undefined) Object.assign(context, fields);
}
