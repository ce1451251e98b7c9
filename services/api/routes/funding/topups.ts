import type { RequestHandler } from 'express';
import { z } from 'zod';
import { creditTopupOnce, type Topup } from '../../../domain/payments/credit-topup.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { keyClaim, sendOnce } from '../../middleware/idempotency.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { body } from '../../middleware/validate.ts';
import { currencySchema } from '../gifts/gift-request.ts';
import { idSchema } from '../id-schema.ts';
import { text } from '../text-schema.ts';

/** A thousand largest gifts at once; far below where sums of minor units stop being exact integers. */
const maxTopupMinor = 100_000_000_000;

export const topupBody = body(
  z
    .strictObject({
      sender_id: idSchema('sen', 'a sender')
        .optional()
        .meta({ description: 'Left out: the sender of the key' }),
      type: z.literal('manual', 'only "manual" is offered in this version').default('manual'),
      value: z.strictObject({ amount: z.int().min(1).max(maxTopupMinor), currency: currencySchema }),
      reference: text(200, { visible: true })
        .optional()
        .meta({ description: 'Your own note: an invoice, a bank transfer' }),
    })
    .meta({ id: 'TopupRequest' }),
);

export const topupSchema = z
  .object({
    id: z.string(),
    object: z.literal('topup'),
    type: z.literal('manual'),
    state: z.literal('credited'),
    sender_id: z.string(),
    funding_account_id: z.string(),
    value: z.object({ amount: z.int(), currency: z.string() }),
    reference: z.string().nullable(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'Topup' });

/** Credits money that arrived outside; creates the funding account with the first top-up in its currency. */
export function createTopup(deps: ApiDeps): RequestHandler {
  return async (request, response) => {
    const asked = topupBody.of(response);
    const { senderId, apiKeyId } = principalOf(response);
    const key = keyClaim(deps.keyring, request, response);
    const draft = {
      senderId: asked.sender_id ?? senderId,
      value: asked.value,
      reference: asked.reference ?? null,
      apiKeyId,
      requestId: requestIdOf(response),
    };
    const credited = await creditTopupOnce(deps.db, draft, {
      key,
      answerOf: (topup) => ({ status: 201, body: topupResource(topup), location: null }),
    });
    sendOnce(response, credited);
  };
}

function topupResource(topup: Topup): z.output<typeof topupSchema> {
  return {
    id: topup.id,
    object: 'topup',
    type: 'manual',
    state: 'credited',
    sender_id: topup.senderId,
    funding_account_id: topup.fundingAccountId,
    value: topup.value,
    reference: topup.reference,
    created_at: topup.createdAt.toISOString(),
  };
}
