import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import type { QueueClients } from './sqs.ts';

export interface Depth {
  readonly visible: number;
  readonly inFlight: number;
}

export interface StarvationWatchOptions {
  readonly emptyReceivesBeforeCheck: number;
  readonly checkIntervalMs: number;
  readonly now: () => number;
  readonly askDepth: () => Promise<Depth>;
  readonly onStarved: (event: Depth & { emptyReceives: number }) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Notices a queue that has messages but gives none: at 120,000 in flight SQS answers long polls with silence, not with an error.
 * The depth is approximate and lags behind by up to a minute, so one answer proves nothing: the alarm needs two in a row,
 * `checkIntervalMs` apart, with nothing received between. It repeats with every further check while the state lasts.
 */
export class StarvationWatch {
  readonly #options: StarvationWatchOptions;
  #emptyReceives = 0;
  #lastCheckAtMs = Number.NEGATIVE_INFINITY;
  #suspected = false;
  #starved = false;

  constructor(options: StarvationWatchOptions) {
    this.#options = options;
  }

  get starved(): boolean {
    return this.#starved;
  }

  observe(received: number): void {
    if (received > 0) {
      this.#emptyReceives = 0;
      this.#suspected = false;
      this.#starved = false;
      return;
    }
    this.#emptyReceives += 1;
    const { emptyReceivesBeforeCheck, checkIntervalMs, now } = this.#options;
    if (this.#emptyReceives < emptyReceivesBeforeCheck || now() - this.#lastCheckAtMs < checkIntervalMs)
      return;
    this.#lastCheckAtMs = now();
    this.#check().catch(this.#options.onError);
  }

  async #check(): Promise<void> {
    const depth = await this.#options.askDepth();
    // Something was received while the question was on its way: its answer is about another time.
    if (this.#emptyReceives === 0) return;
    this.#starved = this.#suspected && depth.visible > 0;
    this.#suspected = depth.visible > 0;
    if (this.#starved) this.#options.onStarved({ ...depth, emptyReceives: this.#emptyReceives });
  }
}

export async function askDepth(clients: QueueClients, queueUrl: string): Promise<Depth> {
  const { Attributes } = await clients.settling.send(
    new GetQueueAttributesCommand({
      QueueUrl: queueUrl,
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    }),
  );
  return {
    visible: Number(Attributes?.ApproximateNumberOfMessages ?? 0),
    inFlight: Number(Attributes?.ApproximateNumberOfMessagesNotVisible ?? 0),
  };
}
