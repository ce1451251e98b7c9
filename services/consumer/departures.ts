import type { Kysely } from 'kysely';
import { type Marked, markMaybeOut } from '../database/queries/mark-maybe-out.ts';
import type { Database } from '../database/schema.ts';
import type { DeliveryWork } from '../domain/deliveries/delivery-work.ts';
import { toUuid } from '../domain/ids.ts';
import { Batcher } from '../queue/batcher.ts';
import { insist } from './insist.ts';
import { togetherOrAlone } from './together-or-alone.ts';

export type Departures = {
  /**
   * Resolves when it is on record that this mail may be out: whoever takes the delivery over will not send another at once.
   * @throws MailWithheldError when the mail must not leave
   */
  allow: (work: Pick<DeliveryWork, 'deliveryId' | 'attempt'>) => Promise<void>;
  close: () => Promise<void>;
};

export type DeparturesDeps = {
  db: Kysely<Database>;
  random: () => number;
  /** how long the database is waited for, while the mail server waits for the content */
  waitMs: number;
};

/** Asks for the mails that come so far within `maxDelayMs` together: their connections wait for it. */
export function createDepartures(
  deps: DeparturesDeps,
  options: { maxSize: number; maxDelayMs: number },
): Departures {
  const batcher = new Batcher<Pick<DeliveryWork, 'deliveryId' | 'attempt'>, Marked>({
    ...options,
    run: (works) => togetherOrAlone(works, (some) => markMaybeOut(deps.db, some.map(toHeld))),
  });
  return {
    close: () => batcher.close(),
    allow: async (work) => {
      const patience = AbortSignal.timeout(deps.waitMs);
      const asked = insist(deps, () => batcher.add(work), patience);
      const marked = await Promise.race([asked, rejectedBy(patience)]).catch((cause: unknown) => {
        throw new MailWithheldError('unmarked', { cause });
      });
      if (marked === 'overtaken') throw new MailWithheldError('overtaken');
    },
  };
}

function toHeld({ deliveryId, attempt }: Pick<DeliveryWork, 'deliveryId' | 'attempt'>) {
  return { delivery_id: toUuid(deliveryId), attempt };
}

/** A statement that hangs would outlast the mail server's patience, and be taken for the server's silence. */
function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** No byte of the mail has left: its delivery is another's or over, or it could not be put on record that it may be out. */
export class MailWithheldError extends Error {
  readonly why: 'overtaken' | 'unmarked';

  constructor(why: MailWithheldError['why'], options?: ErrorOptions) {
    super('the mail was not given to the mail server', options);
    this.name = 'MailWithheldError';
    this.why = why;
  }
}
