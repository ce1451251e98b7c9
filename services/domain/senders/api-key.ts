import { randomBytes, randomInt } from 'node:crypto';
import type { Role } from '../../database/states.ts';
import type { ApiKeyId, SenderId } from '../ids.ts';

/** What an API key may do: its roles allow, its scopes narrow. */
export type Principal = {
  senderId: SenderId;
  apiKeyId: ApiKeyId;
  /** the public part of the key, for logs and lists */
  keyPrefix: string;
  roles: readonly Role[];
  /** null: all that the roles allow */
  scopes: readonly Scope[] | null;
};

export type Scope = (typeof scopes)[number];

export const scopes = [
  'gifts:read',
  'gifts:write',
  'funding:read',
  'topups:write',
  'ledger:read',
  'dead_letters:read',
  'queues:read',
] as const;

/** Which roles allow what a scope narrows a key to; the routes of the API ask for one of them. */
export const scopeRoles: Readonly<Record<Scope, readonly Role[]>> = {
  'gifts:read': ['sender'],
  'gifts:write': ['sender'],
  'funding:read': ['sender', 'admin'],
  'topups:write': ['admin'],
  'ledger:read': ['auditor'],
  'dead_letters:read': ['operator'],
  'queues:read': ['operator'],
};

export const roles: readonly Role[] = ['sender', 'reviewer', 'merchant', 'operator', 'auditor', 'admin'];

/** A new key, `lgk_<12 characters>_<43 characters>`: 256 random bits after a prefix that may be shown. */
export function mintApiKey(): { prefix: string; key: string } {
  const prefix = Array.from({ length: 12 }, () => prefixAlphabet[randomInt(prefixAlphabet.length)]).join('');
  return { prefix, key: `lgk_${prefix}_${randomBytes(32).toString('base64url')}` };
}

/** Whether a text can be a key at all: what can't is refused without asking the database. */
export function looksLikeApiKey(text: string): boolean {
  return /^lgk_[0-9a-z]{12}_[0-9A-Za-z_-]{32,128}$/.test(text);
}

/** The public part of a key, from itself, from `lgk_` and more of it, or from a whole key; null when there is none. */
export function apiKeyPrefix(text: string): string | null {
  return /^(?:lgk_)?([0-9a-z]{12})(?:_[0-9A-Za-z_-]*)?$/.exec(text)?.[1] ?? null;
}

const prefixAlphabet = '0123456789abcdefghjkmnpqrstvwxyz';
