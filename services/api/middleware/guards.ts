import type { RequestHandler } from 'express';
import type { ApiDeps } from '../deps.ts';
import { authenticate } from './authenticate.ts';
import { type Limiters, limiters } from './rate-limit.ts';

/** The steps that stand before every protected route. */
export type Guards = { limit: Limiters; authenticate: RequestHandler };

export function createGuards(deps: ApiDeps): Guards {
  return { limit: limiters(deps), authenticate: authenticate(deps) };
}
