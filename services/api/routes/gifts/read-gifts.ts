import type { RequestHandler } from 'express';
import { z } from 'zod';
import { reachableGiftStates } from '../../../domain/gifts/gift.ts';
import { findGift, listGifts } from '../../../domain/gifts/list-gifts.ts';
import { readTimeline } from '../../../domain/gifts/timeline.ts';
import type { ApiDeps } from '../../deps.ts';
import { principalOf } from '../../middleware/authenticate.ts';
import { params, query } from '../../middleware/validate.ts';
import { idSchema } from '../id-schema.ts';
import { pagedQuery, sendPage, toPageRequest } from '../page-query.ts';
import { text } from '../text-schema.ts';
import { giftResource } from './gift-resource.ts';
import { timelineResource } from './timeline-resource.ts';

export const giftParams = params(
  z.strictObject({
    id: idSchema('gft', 'a gift').meta({ param: { example: 'gft_01k3v5j8y6e4q9s7w2x0z1a2b3' } }),
  }),
);

const time = () =>
  z.iso
    .datetime({
      offset: true,
      error: 'must be an RFC 3339 time, such as 2027-01-31T09:00:00Z; a + in it is written %2B',
    })
    .transform((text) => new Date(text))
    .optional();

export const giftsQuery = query(
  pagedQuery('gft', {
    external_id: text(255).optional().meta({ description: 'The gift that bears this id of yours' }),
    state: z.enum(reachableGiftStates).optional().meta({ description: 'Gifts that are in this state now' }),
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, 'must be three capital letters, such as EUR')
      .optional()
      .meta({ description: 'Gifts in this currency' }),
    created_from: time().meta({ description: 'Gifts accepted at this time or later' }),
    created_to: time().meta({ description: 'Gifts accepted before this time' }),
  }).refine(({ created_from: from, created_to: to }) => !from || !to || from < to, {
    path: ['created_to'],
    error: 'must be later than created_from',
  }),
);

export function listOwnGifts(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  return async (request, response) => {
    const asked = giftsQuery.of(response);
    const { external_id: externalId, state, currency, created_from: from, created_to: to } = asked;
    const filter = { senderId: principalOf(response).senderId, externalId, state, currency, from, to };
    const { gifts, ...page } = await listGifts(deps.reads, filter, toPageRequest(asked));
    sendPage(request, response, { ...page, data: gifts.map((gift) => giftResource(resource, gift)) });
  };
}

export function readGift(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  return async (_request, response) => {
    const gift = await findGift(deps.reads, principalOf(response).senderId, giftParams.of(response).id);
    response.json(giftResource(resource, gift));
  };
}

export function readGiftTimeline(deps: ApiDeps): RequestHandler {
  return async (_request, response) => {
    const entries = await readTimeline(
      deps.reads,
      principalOf(response).senderId,
      giftParams.of(response).id,
    );
    response.json({ data: entries.map(timelineResource), has_more: false });
  };
}
