import type { RequestHandler, Response } from 'express';
import type { Role } from '../../database/states.ts';
import type { Principal, Scope } from '../../domain/senders/api-key.ts';
import { authenticate as authenticateKey } from '../../domain/senders/authenticate.ts';
import { extendContext } from '../../observability/context.ts';
import type { ApiDeps } from '../deps.ts';
import { Problem } from '../problem.ts';

/** Who asks: `Authorization: Bearer <api key>`, or a 401 that says how. */
export function authenticate({ findKey, renewKeyHash, keyring }: ApiDeps): RequestHandler {
  return async (request, response, next) => {
    const key = bearerToken(request.get('authorization'));
    const principal = await authenticateKey({ findKey, renewHash: renewKeyHash, keyring }, key);
    response.locals['principal'] = principal;
    extendContext({ sender_id: principal.senderId, key_prefix: principal.keyPrefix });
    next();
  };
}

/** Whether they may: one of these roles, and the scope unless the key has all. */
export function permit(roles: readonly Role[], scope: Scope): RequestHandler {
  return (_request, response, next) => {
    const principal = principalOf(response);
    if (!roles.some((role) => principal.roles.includes(role))) {
      throw new Problem('forbidden', `this needs a key with the role ${roles.join(' or ')}`);
    }
    if (principal.scopes !== null && !principal.scopes.includes(scope)) {
      throw new Problem('forbidden', `this needs a key with the scope ${scope}`);
    }
    next();
  };
}

/** The authenticated principal. Only behind {@link authenticate}. */
export function principalOf(response: Response): Principal {
  return response.locals['principal'] as Principal;
}

function bearerToken(header: string | undefined): string {
  const [, token] = /^Bearer +([^\s]+)$/i.exec(header ?? '') ?? [];
  if (token !== undefined) return token;
  throw new Problem('unauthenticated', 'send Authorization: Bearer <api key>', {
    headers: { 'WWW-Authenticate': 'Bearer realm="largesse"' },
  });
}
