import type { Message } from '@aws-sdk/client-sqs';
import { emptyPaceMs, loopPauseMs } from './backoff.ts';
import type { Admission } from './consumer-options.ts';
import { pause } from './pause.ts';
import type { ReceiveWindow } from './receive-window.ts';

export interface PollerOptions {
  readonly window: ReceiveWindow;
  /** Room that a receive waits for: 10, or the window if that is smaller. */
  readonly batch: number;
  readonly maxReceivers: number;
  readonly waitTimeSeconds: number;
  readonly roomPatienceMs: number;
  readonly random: () => number;
  readonly admission: Admission;
  readonly receive: (count: number, waitTimeSeconds: number, signal: AbortSignal) => Promise<Message[]>;
  /** Takes over the slots of the messages; called even for none. Must not throw for one message's sake. */
  readonly onReceived: (messages: readonly Message[], receive: { asked: number; durationMs: number }) => void;
  readonly onError: (error: unknown, consecutiveFailures: number, pauseMs: number) => void;
  /** Told of each empty receive whether it came long before its wait was over, and the how manieth in a row that was. */
  readonly onEmpty: (inARow: { tooEarly: number }) => void;
}

type Received = { readonly count: number; readonly full: boolean; readonly durationMs: number };

/** A helper never outlives the backlog by more than this, so an idle consumer soon holds one poll, with no slots reserved. */
const helperWaitSeconds = 1;

/**
 * One anchor loop that always polls, and helpers that exist while receives come back full and there is room for another batch.
 * The anchor waits for room and backs off after errors; helpers do neither, they leave.
 */
export class Poller {
  readonly #options: PollerOptions;
  readonly #stopping = new AbortController();
  readonly #cut = new AbortController();
  readonly #loops = new Set<Promise<void>>();
  #open = 0;

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  get openReceives(): number {
    return this.#open;
  }

  start(): void {
    this.#track(this.#anchor());
  }

  /** No new receives. Resolves when the open ones have ended by themselves. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    while (this.#loops.size > 0) await Promise.all(this.#loops);
  }

  /** Cuts what is still open: the last resort of a shutdown whose grace is spent. */
  abort(reason: Error): void {
    this.#stopping.abort();
    this.#cut.abort(reason);
  }

  async #anchor(): Promise<void> {
    const { window, batch, roomPatienceMs, waitTimeSeconds, random, admission, onError, onEmpty } =
      this.#options;
    let failures = 0;
    let tooEarly = 0;
    while (!this.#stopping.signal.aborted) {
      const allowed = await admission.next(this.#stopping.signal);
      const room = await window.take(Math.min(batch, allowed), roomPatienceMs, this.#stopping.signal);
      if (room === 0) return;
      // It may have been held back while it waited for room.
      if (admission.now() < room) {
        window.giveBack(room);
        continue;
      }
      try {
        const received = await this.#receive(room, waitTimeSeconds);
        failures = 0;
        tooEarly = isTooEarly(received, waitTimeSeconds) ? tooEarly + 1 : 0;
        if (received.count === 0) onEmpty({ tooEarly });
        // Without a pause, an endpoint that ignores the wait would be asked as fast as it answers.
        const dueMs = tooEarly === 0 ? 0 : emptyPaceMs(tooEarly, random) - received.durationMs;
        if (dueMs > 0) await pause(dueMs, this.#stopping.signal);
      } catch (error) {
        if (this.#cut.signal.aborted) return;
        failures += 1;
        const pauseMs = loopPauseMs(failures, random);
        onError(error, failures, pauseMs);
        await pause(pauseMs, this.#stopping.signal);
      }
    }
  }

  /** Asks for `room` messages, whose slots are taken, and hands over what came. Starts a helper when more is waiting. */
  async #receive(room: number, waitTimeSeconds: number): Promise<Received> {
    const { window, receive, onReceived, batch, maxReceivers, admission } = this.#options;
    const startedAt = performance.now();
    this.#open += 1;
    let messages: readonly Message[] = [];
    try {
      messages = await receive(room, waitTimeSeconds, this.#cut.signal);
    } finally {
      this.#open -= 1;
      if (messages.length <= room) window.giveBack(room - messages.length);
      else window.overfill(messages.length - room);
    }
    const durationMs = performance.now() - startedAt;
    onReceived(messages, { asked: room, durationMs });
    const isFree = !this.#stopping.signal.aborted && admission.now() >= batch;
    const full = messages.length >= room && isFree;
    // Each full receive brings one more receiver, so their number doubles with every round trip while there is a backlog.
    if (full && this.#loops.size < maxReceivers && window.tryTake(batch)) this.#track(this.#helper());
    return { count: messages.length, full, durationMs };
  }

  /** Its first batch of room is taken already. */
  async #helper(): Promise<void> {
    const { window, batch, onError } = this.#options;
    try {
      while ((await this.#receive(batch, helperWaitSeconds)).full && window.tryTake(batch));
    } catch (error) {
      if (!this.#cut.signal.aborted) onError(error, 1, 0);
    }
  }

  #track(run: Promise<void>): void {
    const tracked = run.finally(() => this.#loops.delete(tracked));
    this.#loops.add(tracked);
  }
}

function isTooEarly({ count, durationMs }: Received, waitTimeSeconds: number): boolean {
  return count === 0 && durationMs < (waitTimeSeconds * 1_000) / 2;
}
