import type { Kysely } from 'kysely';
import type { Database } from '../database/schema.ts';
import {
  type AcceptOutcome,
  acceptGifts,
  type GiftAccept,
  type OutboxRow,
} from '../domain/gifts/accept-gifts.ts';
import type { OutboxWriter } from '../domain/outbox.ts';
import type { Metrics } from '../observability/metrics.ts';
import { SendersAside } from './senders-aside.ts';
import { Together } from './together.ts';

export type AcceptingDeps = {
  db: Kysely<Database>;
  outbox: OutboxWriter;
  metrics: Metrics;
  publish: (rows: readonly OutboxRow[]) => void;
};

/** A gift to accept, and the signal of whoever waits for the answer. */
export type Asked = GiftAccept & { signal: AbortSignal };

/** Statements under way at once per process: one runs while the next is being made. More make smaller ones of them. */
const lanes = 2;
/** Gifts per statement at most: a hundred take a few milliseconds. */
const maxTogether = 100;
/** How long the gifts of all senders wait for one of them: many times what an accept holds a balance for, at its worst. */
const sharedLockWaitMs = 200;
/** How long a sender's gifts wait for their own: nobody else is held up, but for a connection. */
const ownLockWaitMs = 500;

/** Whose turn ended without a decision: somebody holds what is theirs, or a row of theirs is refused by the statement. */
const setsAside = (outcome: AcceptOutcome | Error | undefined) =>
  outcome !== undefined && 'kind' in outcome && (outcome.kind === 'busy' || outcome.kind === 'illegal');

/**
 * Accepts the gifts of all requests of a moment in one statement. A sender whose account somebody holds is set aside:
 * their gifts go in statements of their own until one succeeds, so nobody else ever waits for that account.
 */
export class Accepting {
  readonly #deps: AcceptingDeps;
  readonly #shared: Together<Asked, AcceptOutcome>;
  readonly #aside: SendersAside<Asked, AcceptOutcome>;

  constructor(deps: AcceptingDeps) {
    this.#deps = deps;
    this.#shared = new Together({
      run: (asked) => this.#run(asked, sharedLockWaitMs),
      lanes,
      maxSize: maxTogether,
    });
    this.#aside = new SendersAside({
      run: (asked) => this.#run(asked, ownLockWaitMs),
      isStuck: setsAside,
      maxSize: maxTogether,
    });
    deps.metrics.onScrape(() => {
      deps.metrics.acceptsWaiting.set({ lane: 'shared' }, this.#shared.waiting);
      deps.metrics.acceptsWaiting.set({ lane: 'aside' }, this.#aside.waiting);
    });
  }

  /**
   * @returns what became of it, never `busy`
   * @throws the signal's reason once it is aborted: what no statement has taken by then is never accepted
   */
  async accept(asked: Asked): Promise<Exclude<AcceptOutcome, { kind: 'busy' }>> {
    const { sender_id: sender } = asked.insert;
    let outcome = this.#aside.has(sender) ? undefined : await this.#shared.add(asked, asked.signal);
    if (setsAside(outcome)) this.#aside.add(sender);
    while (outcome === undefined || outcome.kind === 'busy') {
      outcome = await this.#aside.ask(sender, asked, asked.signal);
    }
    return outcome;
  }

  async #run(asked: readonly Asked[], lockWaitMs: number): Promise<(AcceptOutcome | Error)[]> {
    const { db, outbox, metrics, publish } = this.#deps;
    return await db.connection().execute(async (connection) => {
      // Whoever went away while a connection was waited for must not be charged: they may be asking elsewhere by now.
      const present = asked.filter(({ signal }) => !signal.aborted);
      const outcomes =
        present.length === 0 ? [] : await acceptGifts(connection, { outbox, lockWaitMs }, present);
      // Not where the caller is: what is accepted must go out, whether they are still there or not.
      publish(outcomes.flatMap((outcome) => (outcome.kind === 'accepted' ? (outcome.outboxRow ?? []) : [])));
      for (const [index, { kind }] of outcomes.entries()) {
        const insert = present[index]?.insert;
        if (kind === 'accepted' && insert) countAccepted(metrics, insert);
        if (kind === 'busy') metrics.acceptsBusy.inc();
      }
      const results = outcomes.values();
      return asked.map((one) => (present.includes(one) ? (results.next().value as AcceptOutcome) : gone()));
    });
  }
}

function countAccepted(metrics: Metrics, { channel, currency, amount_minor: minor }: Asked['insert']): void {
  metrics.giftsAccepted.inc({ recipient_type: channel });
  metrics.giftsAcceptedValue.inc({ currency }, minor);
}

const gone = () => new Error('nobody waits for this any more');
