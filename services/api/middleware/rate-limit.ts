import type { Request, RequestHandler, Response } from 'express';
import { serializeList } from 'structured-headers';
import type { Metrics } from '../../observability/metrics.ts';
import { Problem } from '../problem.ts';
import type { RateLimit, RateLimitPolicy, RateLimits, RateLimitVerdict } from '../rate-limits.ts';
import { principalOf } from './authenticate.ts';
import { networkReader, type TrustedProxies } from './client-address.ts';

type LimiterDeps = {
  rateLimits: RateLimits;
  metrics: Metrics;
  settings: { trustProxy: TrustedProxies };
};

export type Limiters = Record<keyof RateLimits, RequestHandler>;

/** Steps that take one request from a budget: of the caller's address, of their key, of their address for claims. */
export function limiters({ rateLimits, metrics, settings }: LimiterDeps): Limiters {
  const network = networkReader(settings.trustProxy);
  const step = (
    limit: RateLimit,
    keyOf: (request: Request, response: Response) => string,
  ): RequestHandler => {
    return async (request, response, next) => {
      const verdict = await limit.consume(keyOf(request, response));
      announce(response, limit.policy, verdict);
      if (verdict.allowed) return next();
      metrics.rateLimited.inc({ limiter: limit.policy.name });
      throw new Problem('rate_limited', `the budget of ${describe(limit.policy)} is used up`, {
        retryAfterSeconds: verdict.resetSeconds,
      });
    };
  };
  return {
    ip: step(rateLimits.ip, network),
    claim: step(rateLimits.claim, network),
    key: step(rateLimits.key, (_request, response) => principalOf(response).apiKeyId),
  };
}

/** RateLimit and RateLimit-Policy (IETF draft 11): one member per budget that the request has passed. */
function announce(response: Response, policy: RateLimitPolicy, verdict: RateLimitVerdict): void {
  const { name, quota, windowSeconds } = policy;
  const { remaining, resetSeconds } = verdict;
  append(response, 'RateLimit-Policy', name, { q: quota, w: windowSeconds });
  append(response, 'RateLimit', name, { r: remaining, t: resetSeconds });
}

function append(response: Response, header: string, name: string, values: Record<string, number>): void {
  const member = serializeList([[name, new Map(Object.entries(values))]]);
  const earlier = response.getHeader(header);
  response.setHeader(header, earlier === undefined ? member : `${String(earlier)}, ${member}`);
}

function describe({ quota, windowSeconds }: RateLimitPolicy): string {
  return `${quota} requests in any ${windowSeconds} s`;
}
