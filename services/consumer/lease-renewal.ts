import type { Kysely } from 'kysely';
import { renewDeliveryLeases } from '../database/queries/renew-leases.ts';
import type { Database } from '../database/schema.ts';
import type { DeliveryWork } from '../domain/deliveries/delivery-work.ts';
import { toUuid } from '../domain/ids.ts';
import { Batcher } from '../queue/batcher.ts';

export type LeaseRenewal = {
  /** Renews the lease of a delivery until the function that it gives is called. */
  keep: (work: Pick<DeliveryWork, 'deliveryId' | 'attempt'>) => () => void;
  close: () => Promise<void>;
};

/**
 * A mail may take as long as the protocol allows, which is far longer than a lease should be: the lease is what the gifts of
 * a worker that died wait for. So it is short, and renewed three times while it lasts, for many deliveries at once.
 */
export function createLeaseRenewal(
  deps: { db: Kysely<Database>; leaseSeconds: number; onError: (error: unknown) => void },
  options: { maxSize: number },
): LeaseRenewal {
  const batcher = new Batcher<Pick<DeliveryWork, 'deliveryId' | 'attempt'>, null>({
    maxSize: options.maxSize,
    maxDelayMs: 50,
    run: async (works) => {
      const held = works.map((work) => ({ delivery_id: toUuid(work.deliveryId), attempt: work.attempt }));
      await renewDeliveryLeases(deps.db, held, deps.leaseSeconds);
      return works.map(() => null);
    },
  });
  return {
    keep: (work) => {
      const renew = () => void batcher.add(work).catch(deps.onError);
      const timer = setInterval(renew, (deps.leaseSeconds * 1_000) / 3);
      return () => clearInterval(timer);
    },
    close: () => batcher.close(),
  };
}
