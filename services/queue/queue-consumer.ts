import type { Message } from '@aws-sdk/client-sqs';
import { maxBatchEntries } from './batch-call.ts';
import {
  type QueueConsumerOptions,
  type ResolvedOptions,
  resolveOptions,
  shutdownReserveMs,
} from './consumer-options.ts';
import type { ConsumerStats } from './consumer-stats.ts';
import { toQueueMessage } from './message.ts';
import { MessageRunner } from './message-runner.ts';
import { settlesWithin } from './pause.ts';
import { Poller } from './poller.ts';
import { readQueueDepth } from './queue-depth.ts';
import { type ConsumerState, judgeHealth, type QueueHealth, stallLimitMs } from './queue-health.ts';
import { tell } from './queue-observer.ts';
import { recordReceive, recordReceiveError } from './queue-spans.ts';
import { receive } from './receive.ts';
import { ReceiveWindow } from './receive-window.ts';
import { StarvationWatch } from './starvation-watch.ts';

/**
 * Receives, handles and settles the messages of one queue: the throughput of a window, the requests of a batch.
 * `start()` once; `stop()` ends within `graceMs` with every message settled, released, or (when SQS cannot be reached) left to
 * its visibility time-out.
 */
export class QueueConsumer {
  readonly #options: ResolvedOptions;
  readonly #window: ReceiveWindow;
  readonly #poller: Poller;
  readonly #runner: MessageRunner;
  readonly #starvation: StarvationWatch;
  readonly #counts = { received: 0, receives: 0, emptyReceives: 0, receiveErrors: 0 };
  readonly #stallLimitMs: number;
  #state: ConsumerState = 'new';
  #stopped: Promise<void> | undefined;
  #reachable = false;
  #receiveEndedAtMs: number;
  #waitHonoured: boolean | undefined;

  /** @throws RangeError when options contradict each other: it says which, and how to mend them. */
  constructor(given: QueueConsumerOptions) {
    const options = resolveOptions(given);
    const { clients, queue, now, observer } = options;
    this.#options = options;
    this.#receiveEndedAtMs = now();
    this.#stallLimitMs = stallLimitMs(
      options.waitTimeSeconds,
      options.handlerTimeoutMs,
      options.abortGraceMs,
    );
    this.#window = new ReceiveWindow(options.maxInFlight, Math.min(maxBatchEntries, options.maxInFlight));
    this.#runner = new MessageRunner(options, () => this.#window.finish());
    this.#starvation = new StarvationWatch({
      emptyReceivesBeforeCheck: options.emptyReceivesBeforeCheck,
      checkIntervalMs: options.starvationCheckIntervalMs,
      now,
      askDepth: () => readQueueDepth(clients, queue.url),
      onStarved: (event) => tell(observer.starved, event),
      onError: (error) => tell(observer.loopError, { error, consecutiveFailures: 1, pauseMs: 0 }),
    });
    this.#poller = this.#createPoller();
  }

  start(): void {
    if (this.#state !== 'new') throw new Error(`the consumer is ${this.#state}: make a new one`);
    this.#state = 'running';
    this.#receiveEndedAtMs = this.#options.now();
    this.#runner.start();
    this.#poller.start();
  }

  /** Resolves when the whole run has ended; calling it again waits for the same end. Never rejects. */
  stop(): Promise<void> {
    this.#stopped ??= this.#shutDown();
    return this.#stopped;
  }

  stats(): ConsumerStats {
    return {
      ...this.#counts,
      ...this.#runner.counts,
      inFlight: this.#runner.inFlight,
      waiting: this.#runner.waiting,
      settling: this.#runner.settling,
      wedged: this.#runner.wedged,
      openReceives: this.#poller.openReceives,
      starved: this.#starvation.starved,
    };
  }

  health(): QueueHealth {
    return judgeHealth({
      state: this.#state,
      reachable: this.#reachable,
      inFlight: this.#runner.inFlight,
      wedged: this.#runner.wedged,
      maxInFlight: this.#options.maxInFlight,
      outlasting: this.#runner.outlasting,
      nowMs: this.#options.now(),
      receiveEndedAtMs: this.#receiveEndedAtMs,
      handlingEndedAtMs: this.#runner.endedAtMs,
      stallLimitMs: this.#stallLimitMs,
    });
  }

  #createPoller(): Poller {
    const { clients, queue, maxInFlight } = this.#options;
    const { url: queueUrl, visibilityTimeoutSeconds } = queue;
    return new Poller({
      ...this.#options,
      window: this.#window,
      batch: Math.min(maxBatchEntries, maxInFlight),
      receive: (count, waitTimeSeconds, signal) =>
        receive(clients, { queueUrl, count, waitTimeSeconds, visibilityTimeoutSeconds }, signal),
      onReceived: (raw, { asked, durationMs }) => this.#take(raw, asked, durationMs),
      onEmpty: ({ tooEarly }) => this.#judgeWait(tooEarly),
      onError: (error, consecutiveFailures, pauseMs) => {
        this.#receiveEndedAtMs = this.#options.now();
        this.#reachable = false;
        this.#counts.receiveErrors += 1;
        recordReceiveError(queue.name, error);
        tell(this.#options.observer.loopError, { error, consecutiveFailures, pauseMs });
      },
    });
  }

  /** One early answer may be chance (a server that restarts); the third in a row is a habit. */
  #judgeWait(tooEarly: number): void {
    if (tooEarly > 0 && tooEarly < 3) return;
    const honoured = tooEarly === 0;
    if (this.#waitHonoured === honoured) return;
    this.#waitHonoured = honoured;
    tell(this.#options.observer.longPolling, { honoured });
  }

  #take(raw: readonly Message[], asked: number, durationMs: number): void {
    const { now, queue, observer } = this.#options;
    this.#receiveEndedAtMs = now();
    this.#reachable = true;
    this.#counts.receives += 1;
    this.#counts.emptyReceives += raw.length === 0 ? 1 : 0;
    this.#counts.received += raw.length;
    this.#starvation.observe(raw.length);
    if (raw.length === 0) return;
    const messages = raw.map((message) => toQueueMessage(message, now()));
    tell(observer.received, { messages, asked, durationMs });
    recordReceive(queue.name, messages, durationMs);
    // What the poll that was open at `stop()` still brings is given back: no handler sees it, so no attempt is lost.
    if (this.#state === 'running') this.#runner.handle(messages);
    else this.#runner.decline(messages);
  }

  /**
   * 1. What is received and not started is released. No new receive; the open poll ends by itself, what it still brings is released; running handlers finish.
   * 2. When the grace is nearly spent: cut the poll, abort the handlers, release those that do not settle.
   * 3. Flush what is decided.
   */
  async #shutDown(): Promise<void> {
    if (this.#state === 'new') {
      this.#state = 'stopped';
      return;
    }
    this.#state = 'stopping';
    const { graceMs, abortGraceMs } = this.#options;
    const endAt = performance.now() + graceMs;
    const reserveMs = shutdownReserveMs(graceMs);
    this.#runner.declineWaiting();
    await settlesWithin(Promise.all([this.#poller.stop(), this.#runner.quiet()]), graceMs - reserveMs);
    this.#poller.abort(new Error('the shutdown grace is spent'));
    this.#runner.abortAll(Math.min(abortGraceMs, reserveMs / 2));
    await settlesWithin(this.#runner.quiet(), endAt - performance.now());
    await settlesWithin(this.#runner.flush(), endAt - performance.now());
    this.#runner.stop();
    this.#state = 'stopped';
  }
}
