import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { listensOn } from './port-owner.ts';
import { identityOf, type ProcessRecord, signalGroup } from './processes.ts';

export interface PartCommand {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  cwd?: string;
  /** OS user to run as; only root may set it. */
  user?: { uid: number; gid: number };
  stopSignal: NodeJS.Signals;
  /** After this long without an end, the whole process group is killed. */
  stopTimeoutMs: number;
  readyTimeoutMs: number;
  /** What it must listen on to be ready. */
  ports: number[];
  isReady(): Promise<boolean>;
}

export interface PartObserver {
  /** The process exists; whether it will ever serve is open. */
  onSpawn(): void;
  onLine(name: string, line: string): void;
  onReady(): void;
  /** The process ended although nobody asked it to. */
  onCrash(part: Part, how: string): void;
}

export class PartFailed extends Error {
  readonly part: string;
  readonly lastLines: string[];
  constructor(part: string, how: string, lastLines: string[]) {
    super(`${part} ${how}`);
    this.part = part;
    this.lastLines = lastLines;
  }

  get isPortTaken(): boolean {
    return this.lastLines.some((line) => /EADDRINUSE|address already in use/i.test(line));
  }
}

const KEPT_LINES = 15;

/** One program of the system, in a process group of its own: a Ctrl-C in the terminal reaches the supervisor alone. */
export class Part {
  readonly spec: PartCommand;
  readonly #observer: PartObserver;
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('was never started');
  #isStopping = false;
  #isReady = false;
  #lines: string[] = [];

  constructor(spec: PartCommand, observer: PartObserver) {
    this.spec = spec;
    this.#observer = observer;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get lastLines(): string[] {
    return [...this.#lines];
  }

  record(): ProcessRecord | undefined {
    const pid = this.#child?.pid;
    if (pid === undefined) return undefined;
    const identity = identityOf(pid);
    return identity === undefined ? undefined : { name: this.spec.name, pid, identity };
  }

  /** Resolves when the part can serve; rejects with PartFailed, and leaves nothing running, when it can't. */
  async start(): Promise<void> {
    this.#isStopping = false;
    this.#isReady = false;
    this.#lines = [];
    this.#spawn();
    const end = { how: undefined as string | undefined };
    void this.#ended.then((how) => {
      end.how = how;
    });
    const deadline = Date.now() + this.spec.readyTimeoutMs;
    while (end.how === undefined && !this.#isStopping && Date.now() < deadline) {
      if (this.#listens() && (await this.spec.isReady())) {
        this.#isReady = true;
        this.#observer.onReady();
        return;
      }
      await wait(40);
    }
    if (this.#isStopping) return;
    const how = end.how ?? `was not ready after ${this.spec.readyTimeoutMs / 1000} s`;
    await this.stop();
    throw new PartFailed(this.spec.name, how, this.#lines);
  }

  async stop(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    this.#isStopping = true;
    this.#child?.kill(this.spec.stopSignal);
    const overdue = new AbortController();
    const timer = wait(this.spec.stopTimeoutMs, 'overdue', { signal: overdue.signal }).catch(() => 'ended');
    if ((await Promise.race([this.#ended, timer])) === 'overdue') signalGroup(pid, 'SIGKILL');
    overdue.abort();
    await this.#ended;
    signalGroup(pid, 'SIGKILL');
  }

  kill(): void {
    this.#isStopping = true;
    if (this.#child?.pid !== undefined) signalGroup(this.#child.pid, 'SIGKILL');
  }

  #listens(): boolean {
    const pid = this.#child?.pid;
    return pid !== undefined && this.spec.ports.every((port) => listensOn(pid, port));
  }

  #spawn(): void {
    const { command, args, env, cwd, user } = this.spec;
    const child = spawn(command, args, {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
      ...user,
    });
    this.#child = child;
    this.#read(child.stdout);
    this.#read(child.stderr);
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      // Not at its exit: its last words may still be in the pipe.
      child.once('close', (code, signal) =>
        resolve(code === null ? `was killed (${signal})` : `ended with exit code ${code}`),
      );
    });
    void this.#ended.then((how) => {
      this.#child = undefined;
      if (this.#isReady && !this.#isStopping) this.#observer.onCrash(this, how);
    });
    this.#observer.onSpawn();
  }

  #read(stream: Readable): void {
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
      this.#lines = [...this.#lines.slice(1 - KEPT_LINES), line];
      this.#observer.onLine(this.spec.name, line);
    });
  }
}
