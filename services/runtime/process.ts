/** The part of `process` that a lifecycle uses; tests hand in their own. */
export interface ProcessLike {
  on(event: StopSignal, listener: () => void): unknown;
  on(event: 'uncaughtException' | 'unhandledRejection', listener: (error: unknown) => void): unknown;
  exit(code: number): void;
}

export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP';

/** The part of a logger that a lifecycle uses. Any of ours fits. */
export interface Log {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
