import { setTimeout as pause } from 'node:timers/promises';
import { Together } from './together.ts';

export type SendersAsideOptions<In, Out> = {
  /** Of one sender only. */
  run: (items: readonly In[]) => Promise<readonly (Out | Error)[]>;
  /** whether an outcome says that the sender is still held up */
  isStuck: (outcome: Out | Error) => boolean;
  maxSize: number;
};

type Aside<In, Out> = { together: Together<In, Out>; asking: number; stuck: boolean; touchedAt: number };

/** Runs under way at once, of all senders together: connections of the pool that are lost to the others at the most. */
const slots = 2;
/** Between two tries of a sender that nothing became of. */
const pauseMs = 50;
/** A sender who is not heard of for so long is tried with the others again. */
const forgottenAfterMs = 60_000;

/** The senders that are held up, each with a queue of its own. One goes back to the others with a run that went well. */
export class SendersAside<In, Out> {
  readonly #options: SendersAsideOptions<In, Out>;
  readonly #senders = new Map<string, Aside<In, Out>>();
  readonly #waitingForSlot: (() => void)[] = [];
  #free = slots;

  constructor(options: SendersAsideOptions<In, Out>) {
    this.#options = options;
  }

  has(sender: string): boolean {
    return this.#senders.has(sender);
  }

  get waiting(): number {
    return this.#senders.values().reduce((sum, { together }) => sum + together.waiting, 0);
  }

  add(sender: string): void {
    this.#of(sender).stuck = true;
  }

  async ask(sender: string, item: In, signal: AbortSignal): Promise<Out> {
    const aside = this.#of(sender);
    aside.asking += 1;
    try {
      return await aside.together.add(item, signal);
    } finally {
      aside.asking -= 1;
      if (!aside.stuck && aside.asking === 0) this.#senders.delete(sender);
    }
  }

  #of(sender: string): Aside<In, Out> {
    const now = performance.now();
    let aside = this.#senders.get(sender);
    if (!aside) {
      this.#forget(now);
      const together = new Together<In, Out>({
        run: (items) => this.#run(sender, items),
        lanes: 1,
        maxSize: this.#options.maxSize,
      });
      aside = { together, asking: 0, stuck: true, touchedAt: now };
      this.#senders.set(sender, aside);
    }
    aside.touchedAt = now;
    return aside;
  }

  #forget(now: number): void {
    for (const [sender, { asking, touchedAt }] of this.#senders) {
      if (asking === 0 && now - touchedAt > forgottenAfterMs) this.#senders.delete(sender);
    }
  }

  async #run(sender: string, items: readonly In[]): Promise<readonly (Out | Error)[]> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waitingForSlot.push(resolve));
    else this.#free -= 1;
    let outcomes: readonly (Out | Error)[];
    try {
      outcomes = await this.#options.run(items);
    } finally {
      const next = this.#waitingForSlot.shift();
      if (next) next();
      else this.#free += 1;
    }
    const stuck = outcomes.some(this.#options.isStuck);
    const aside = this.#senders.get(sender);
    if (aside) aside.stuck = stuck;
    // Without a slot: a lock that can't even be waited for (a row that is skipped) is not asked for without end.
    if (stuck) await pause(pauseMs);
    return outcomes;
  }
}
