import type { Kysely } from 'kysely';
import type { Database } from '../database/schema.ts';
import { claimDeliveries, type DeliveryRequest } from '../domain/deliveries/claim-deliveries.ts';
import { claimGifts, type GiftRequest } from '../domain/deliveries/claim-gifts.ts';
import type { ClaimResult } from '../domain/deliveries/delivery-work.ts';
import type { Keyring } from '../domain/recipients/keyring.ts';
import { Batcher } from '../queue/batcher.ts';
import { togetherOrAlone } from './together-or-alone.ts';

export type Claims = {
  gifts: Batcher<GiftRequest, ClaimResult>;
  deliveries: Batcher<DeliveryRequest, ClaimResult>;
  close: () => Promise<void>;
};

export type ClaimsDeps = { db: Kysely<Database>; keyring: Keyring; leaseSeconds: number };

/** Claims for many messages at once: those of one receive, whose handlers start in the same tick, share one statement. */
export function createClaims(deps: ClaimsDeps, options: { maxSize: number }): Claims {
  const batching = { maxSize: options.maxSize, maxDelayMs: 0 };
  const gifts = new Batcher<GiftRequest, ClaimResult>({
    ...batching,
    run: (requests) => togetherOrAlone(requests, (some) => claimGifts(deps.db, deps, some)),
  });
  const deliveries = new Batcher<DeliveryRequest, ClaimResult>({
    ...batching,
    run: (requests) => togetherOrAlone(requests, (some) => claimDeliveries(deps.db, deps, some)),
  });
  const close = async () => {
    await Promise.all([gifts.close(), deliveries.close()]);
  };
  return { gifts, deliveries, close };
}
