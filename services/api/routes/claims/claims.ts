import { randomUUID } from 'node:crypto';
import type { ErrorRequestHandler, RequestHandler, Response } from 'express';
import { z } from 'zod';
import { readClaimLink } from '../../../domain/gifts/claim-link.ts';
import { type Claim, claimVoucher } from '../../../domain/gifts/claim-voucher.ts';
import { extendContext } from '../../../observability/context.ts';
import { markSensitive } from '../../../observability/redact.ts';
import type { ApiDeps } from '../../deps.ts';
import { idempotencyKeyMissing, refusal } from '../../middleware/idempotency.ts';
import { requestIdOf } from '../../middleware/request-context.ts';
import { body, invalid } from '../../middleware/validate.ts';
import { problemKinds } from '../../problem.ts';
import { toProblem } from '../../problem-details.ts';
import { text } from '../text-schema.ts';
import { claimedPage, claimPage, refusalPage } from './claim-pages.ts';
import { pagePolicy } from './html.ts';

export const claimBody = body(
  z
    .strictObject({
      token: markSensitive(text(200), 'token').meta({
        description: 'The last part of the claim link',
      }),
      idempotency_key: text(255).optional().meta({ description: 'For forms, which can not set a header' }),
    })
    .meta({ id: 'ClaimRequest' }),
);

export const claimSchema = z
  .object({
    id: z.string(),
    object: z.literal('claim'),
    gift_id: z.string(),
    voucher: z.object({
      id: z.string(),
      code: z
        .string()
        .meta({ examples: ['4QX7T-9BCD2-PM3WZ-KJ8V5-H'], description: 'Shown once; stored nowhere' }),
      value: z.object({ amount: z.int(), currency: z.string() }),
      expires_at: z.iso.datetime().nullable(),
    }),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'Claim' });

/** The page behind a claim link. Changes nothing: mail scanners open every link, and must not take the gift. */
export function showClaim(deps: ApiDeps): RequestHandler<{ token: string }> {
  return async (request, response) => {
    const { token } = request.params;
    const link = await readClaimLink(deps.reads, deps, token);
    extendContext({ gift_id: link.giftId });
    sendPage(response, 200, claimPage(link, { token, idempotencyKey: randomUUID() }));
  };
}

/** Takes the voucher: JSON for integrators, a page for people whose browser sent the form. */
export function makeClaim(deps: ApiDeps): RequestHandler {
  return async (request, response) => {
    const { token, idempotency_key: fromForm } = claimBody.of(response);
    const idempotencyKey = request.get('idempotency-key') || fromForm;
    if (idempotencyKey === undefined) throw idempotencyKeyMissing();
    const detail = refusal(idempotencyKey);
    if (detail !== null) throw invalid([{ header: 'Idempotency-Key', detail }]);
    const proof = { token, idempotencyKey, requestId: requestIdOf(response) };
    const claim = await claimVoucher(deps.db, deps, proof);
    extendContext({ gift_id: claim.giftId });
    if (claim.replayed) response.setHeader('Idempotency-Replayed', 'true');
    else deps.metrics.giftsClaimed.inc();
    if (wantsPage(request)) sendPage(response, 200, claimedPage(claim));
    else response.status(201).set('Cache-Control', 'no-store').json(claimResource(claim));
  };
}

/** Refusals as pages, for people. Everybody else gets the problem details that every route gives. */
export const claimRefusal: ErrorRequestHandler = (error, request, response, next) => {
  const problem = toProblem(error);
  const { status, title } = problemKinds[problem.code];
  if (status >= 500 || response.headersSent || !wantsPage(request)) return next(error);
  extendContext({ problem_code: problem.code });
  if (problem.retryAfterSeconds !== undefined) {
    response.setHeader('Retry-After', String(Math.ceil(problem.retryAfterSeconds)));
  }
  sendPage(response, status, refusalPage(title, problem.message));
};

/** Browsers accept pages whatever they send: a script on one that sent JSON can read nothing but JSON. */
function wantsPage(request: Parameters<RequestHandler>[0]): boolean {
  const opensOrSendsForm = request.method !== 'POST' || request.is('application/x-www-form-urlencoded');
  return Boolean(opensOrSendsForm) && request.accepts(['json', 'html']) === 'html';
}

/** The address holds the token and the page may hold the code: neither goes to a cache or, as Referer, elsewhere. */
function sendPage(response: Response, status: number, document: string): void {
  response
    .status(status)
    .set({
      'Content-Security-Policy': pagePolicy(),
      'Cache-Control': 'no-store',
      'Referrer-Policy': 'no-referrer',
      'X-Robots-Tag': 'noindex',
    })
    .type('html')
    .send(document);
}

function claimResource(claim: Claim): z.output<typeof claimSchema> {
  return {
    id: claim.id,
    object: 'claim',
    gift_id: claim.giftId,
    voucher: {
      id: claim.voucherId,
      code: claim.code,
      value: claim.value,
      expires_at: claim.expiresAt?.toISOString() ?? null,
    },
    created_at: claim.createdAt.toISOString(),
  };
}
