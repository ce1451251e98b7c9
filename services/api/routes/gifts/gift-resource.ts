import { z } from 'zod';
import { claimToken, claimUrl } from '../../../domain/gifts/claim-token.ts';
import { type Gift, reachableGiftStates } from '../../../domain/gifts/gift.ts';
import type { Keyring } from '../../../domain/recipients/keyring.ts';

const timestamp = z.iso.datetime();

/** A gift as the API shows it: the recipient masked, the message and the sender's name not at all. */
export const giftSchema = z
  .object({
    id: z.string().meta({ examples: ['gft_01k3v5j8y6e4q9s7w2x0z1a2b3'] }),
    object: z.literal('gift'),
    state: z.enum(reachableGiftStates),
    value: z.object({ amount: z.int(), currency: z.string() }),
    recipient: z.object({ type: z.enum(['email', 'wallet']), masked: z.string() }),
    binding: z.enum(['bearer', 'email_otp', 'wallet_signature']).meta({ override: { enum: ['bearer'] } }),
    deliver_at: timestamp.nullable(),
    expires_at: timestamp.nullable(),
    external_id: z.string().nullable(),
    metadata: z.record(z.string(), z.string()),
    failure: z
      .object({
        class: z.enum(['transient', 'permanent', 'poison', 'unknown']),
        code: z.string().meta({ examples: ['mail_unreachable'] }),
        dead_lettered_at: timestamp.nullable().meta({
          description:
            'Since when the gift is given up by the queue and waits for the reconciler, which tries it again or fails it; null while it is tried by itself, and once it has failed',
        }),
      })
      .nullable()
      .meta({ description: 'Why the last attempt failed; null when none did' }),
    claim_url: z.url().optional().meta({
      description: 'Only of a wallet gift that is delivered and not yet claimed: pass it on to the recipient',
    }),
    created_at: timestamp,
    state_changed_at: timestamp,
  })
  .meta({ id: 'Gift' });

export type GiftResource = z.output<typeof giftSchema>;

export function giftResource(deps: { keyring: Keyring; publicUrl: string }, gift: Gift): GiftResource {
  return {
    id: gift.id,
    object: 'gift',
    state: gift.state,
    value: gift.value,
    recipient: { type: gift.channel, masked: gift.recipientMasked },
    binding: gift.binding,
    deliver_at: gift.deliverAt?.toISOString() ?? null,
    expires_at: gift.expiresAt?.toISOString() ?? null,
    external_id: gift.externalId,
    metadata: gift.metadata,
    failure: gift.failure && {
      ...gift.failure,
      dead_lettered_at: gift.deadLetteredAt?.toISOString() ?? null,
    },
    ...publishedClaim(deps, gift),
    created_at: gift.createdAt.toISOString(),
    state_changed_at: gift.stateChangedAt.toISOString(),
  };
}

/** A wallet has no mailbox, so its claim is published here; a mailed link is for the recipient's eyes only. */
function publishedClaim(deps: { keyring: Keyring; publicUrl: string }, gift: Gift): { claim_url?: string } {
  if (gift.channel !== 'wallet' || gift.state !== 'delivered') return {};
  return { claim_url: claimUrl(deps.publicUrl, claimToken(deps.keyring, gift.id, gift.claimVersion)) };
}
