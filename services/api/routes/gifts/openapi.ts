import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { describe } from '../docs/describe.ts';
import { pageSchema } from '../page-query.ts';
import { acceptQuery, dryRunSchema } from './dry-run.ts';
import { giftRequestSchema } from './gift-request.ts';
import { giftSchema } from './gift-resource.ts';
import { noFields } from './no-fields.ts';
import { giftParams, giftsQuery } from './read-gifts.ts';
import { timelineEntrySchema } from './timeline-resource.ts';

const tag = 'Gifts';
const roles = 'sender';
const path = giftParams.schema;

const accept = describe({
  id: 'acceptGift',
  summary: 'Send a gift',
  description:
    'Answers 202 as soon as the gift and its money are safely stored; the delivery follows. With `dry_run=true` nothing happens and the answer says what would.',
  tag,
  roles,
  query: acceptQuery.schema,
  body: giftRequestSchema,
  example: {
    value: { amount: 2_500, currency: 'EUR' },
    recipient: { type: 'email', email: 'ada@example.com' },
    message: 'Well done',
    sender_name: 'Charles',
  },
  idempotent: { unless: '`dry_run=true`' },
  answers: {
    200: { description: 'What would happen (dry run)', schema: dryRunSchema },
    202: { description: 'Accepted', schema: giftSchema, location: true },
  },
  problems: ['funding_insufficient', 'funding_account_missing', 'external_id_taken'],
});

const list = describe({
  id: 'listGifts',
  summary: 'Your gifts, newest first',
  tag,
  roles,
  query: giftsQuery.schema,
  answers: { 200: { description: 'A page of gifts', schema: pageSchema(giftSchema) } },
  problems: ['validation_failed'],
});

const read = describe({
  id: 'getGift',
  summary: 'A gift',
  tag,
  roles,
  path,
  answers: { 200: { description: 'The gift', schema: giftSchema } },
  problems: ['not_found', 'validation_failed'],
});

const timeline = describe({
  id: 'getGiftTimeline',
  summary: 'All that happened to a gift, in order',
  tag,
  roles,
  path,
  answers: {
    200: { description: 'State changes, attempts and verdicts', schema: pageSchema(timelineEntrySchema) },
  },
  problems: ['not_found', 'validation_failed'],
});

const cancel = describe({
  id: 'cancelGift',
  summary: 'Cancel a gift that is not claimed yet; the money comes back',
  tag,
  roles,
  path,
  body: noFields.schema,
  bodyOptional: true,
  idempotent: true,
  answers: { 200: { description: 'Cancelled', schema: giftSchema } },
  problems: ['not_found', 'state_conflict', 'validation_failed'],
});

const resend = describe({
  id: 'resendGift',
  summary: 'Mail a delivered gift once more, with the same link',
  tag,
  roles,
  path,
  body: noFields.schema,
  bodyOptional: true,
  idempotent: true,
  answers: { 202: { description: 'On its way', schema: giftSchema, location: true } },
  problems: ['not_found', 'state_conflict', 'resend_too_soon', 'resend_limit_reached', 'validation_failed'],
});

export const giftPaths: ZodOpenApiPathsObject = {
  '/v1/gifts': { post: accept, get: list },
  '/v1/gifts/{id}': { get: read },
  '/v1/gifts/{id}/timeline': { get: timeline },
  '/v1/gifts/{id}/cancel': { post: cancel },
  '/v1/gifts/{id}/resend': { post: resend },
};
