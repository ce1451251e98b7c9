import type { RequestHandler } from 'express';
import { z } from 'zod';
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
    id: idSchema('gft', 'a gift').meta({ examples: ['gft_01k3v5j8y6e4q9s7w2x0z1a2b3'] }),
  }),
);

export const giftsQuery = query(
  pagedQuery('gft', {
    external_id: text(255).optional().meta({ description: 'The gift that bears this id of yours' }),
  }),
);

export function listOwnGifts(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  return async (request, response) => {
    const asked = giftsQuery.of(response);
    const filter = { senderId: principalOf(response).senderId, externalId: asked.external_id ?? null };
    const { gifts, ...page } = await listGifts(deps.db, filter, toPageRequest(asked));
    sendPage(request, response, { ...page, data: gifts.map((gift) => giftResource(resource, gift)) });
  };
}

export function readGift(deps: ApiDeps): RequestHandler {
  const resource = { keyring: deps.keyring, publicUrl: deps.settings.publicUrl };
  return async (_request, response) => {
    const gift = await findGift(deps.db, principalOf(response).senderId, giftParams.of(response).id);
    response.json(giftResource(resource, gift));
  };
}

export function readGiftTimeline(deps: ApiDeps): RequestHandler {
  return async (_request, response) => {
    const entries = await readTimeline(deps.db, principalOf(response).senderId, giftParams.of(response).id);
    response.json({ data: entries.map(timelineResource), has_more: false });
  };
}
