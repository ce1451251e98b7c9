import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { describe, type OperationDescription } from '../docs/describe.ts';
import { claimBody, claimSchema } from './claims.ts';

const tag = 'Claims';
/** Of the right form, and nobody's. */
const exampleToken = `clt_${'01k3v5j8y6e4q9s7w2x0z1a2b3'.repeat(2)}`;

export const claimPaths: ZodOpenApiPathsObject = {
  '/claim/{token}': {
    get: describe({
      id: 'showClaimPage',
      summary: 'The page behind a claim link; opening it changes nothing',
      tag,
      roles: null,
      path: z.object({ token: z.string().meta({ param: { example: exampleToken } }) }),
      answers: { 200: { description: 'The gift, and a button to claim it', html: true } },
      problems: ['not_found'],
    }),
  },
  '/v1/claims': {
    post: withKeyOfLink({
      id: 'claimGift',
      summary: 'Take the voucher of a gift; its code is shown once',
      description:
        'The key belongs to the claim link: there, the same key gets the same claim and code again, and any other is refused; on another link it is as good as new. JSON is answered with JSON; a browser that sends the form of the claim page is answered with a page.',
      tag,
      roles: null,
      body: claimBody.schema,
      example: { token: exampleToken },
      form: true,
      idempotent: { unless: 'the body has an `idempotency_key`' },
      answers: {
        200: { description: 'The code, for people who sent the form', html: true },
        201: { description: 'Claimed, for those who sent JSON', schema: claimSchema },
      },
      problems: ['not_found', 'claim_not_ready', 'state_conflict', 'claim_unavailable'],
    }),
  },
};

/** A key that belongs to one link meets no other request: of what a key may be refused for, only its absence is left. */
function withKeyOfLink(operation: OperationDescription): ZodOpenApiOperationObject {
  const { idempotent: _key, ...keyless } = operation;
  const problems: typeof keyless.problems = [...keyless.problems, 'idempotency_key_missing'];
  const refused = describe({ ...keyless, problems, answers: {} });
  const described = describe(operation);
  return { ...described, responses: { ...described.responses, ...refused.responses } };
}
