import { violatedConstraint } from '../../database/errors.ts';
import type { Role } from '../../database/states.ts';
import { type Scope, scopeRoles } from '../../domain/senders/api-key.ts';
import { createApiKey } from '../../domain/senders/create-api-key.ts';
import { type ListedKey, listApiKeys } from '../../domain/senders/list-api-keys.ts';
import { revokeApiKey } from '../../domain/senders/revoke-api-key.ts';
import { rotateApiKey } from '../../domain/senders/rotate-api-key.ts';
import { command, mustExist, senderMustExist } from '../command.ts';
import {
  duration,
  futureTime,
  id,
  keyPrefix,
  listLimit,
  optional,
  required,
  roleList,
  scopeList,
  shortText,
  standard,
} from '../options.ts';
import { UsageError } from '../refusals.ts';
import { table, timeOrNull } from '../table.ts';

export const keyCommands = [
  command({
    name: 'create-key',
    summary: 'make an API key; prints it, once',
    options: {
      sender: required(id('sen', 'a sender')),
      roles: required(roleList),
      scopes: optional(scopeList),
      name: standard(shortText('to tell keys apart'), 'key'),
      expiresAt: optional(futureTime),
    },
    run: async ({ withDatabase, keyring, keyringOf }, given) => {
      refuseUseless(given);
      const { sender: senderId, name, roles, scopes = null, expiresAt = null } = given;
      const draft = { senderId, name, roles, scopes, expiresAt };
      // Its variable is asked for before the database is: both problems are told in the order in which they can be mended.
      await keyring();
      const made = await withDatabase(async (db) =>
        createApiKey(db, { keyring: await keyringOf(db) }, draft).catch(explainRefusal),
      );
      return {
        json: { ...made, sender_id: senderId, name, roles, scopes, expires_at: timeOrNull(expiresAt) },
        text: made.key,
        shownOnce: true,
      };
    },
  }),
  command({
    name: 'list-keys',
    summary: 'API keys, newest first; nothing of their secrets',
    options: {
      sender: optional(id('sen', 'a sender')),
      limit: listLimit,
      after: optional(id('key', 'the last key of the page before')),
    },
    run: async ({ withDatabase }, { sender, limit, after }) => {
      const filter = { senderId: sender ?? null };
      const page = await withDatabase(async (db) => {
        if (sender !== undefined) await senderMustExist(db, sender);
        return await listApiKeys(db, filter, { limit, after: after ?? null });
      });
      const columns = ['ID', 'PREFIX', 'STATUS', 'ROLES', 'EXPIRES', 'LOOKUP', 'SENDER', 'NAME'];
      return {
        json: { keys: page.keys.map(toJson), next: page.next },
        text: table(columns, page.keys.map(toRow), page.next),
      };
    },
  }),
  command({
    name: 'rotate-key',
    summary: 'make a key in the place of another; prints the new one, once',
    details:
      'The new key has the sender, name, roles, scopes and end of the old one, which goes on working for the grace period.',
    options: { prefix: required(keyPrefix), grace: standard(duration, 86_400, '24h') },
    run: async ({ withDatabase, keyring, keyringOf }, { prefix, grace }) => {
      const asked = { prefix, graceSeconds: grace };
      await keyring();
      const found = await withDatabase(async (db) =>
        rotateApiKey(db, { keyring: await keyringOf(db) }, asked),
      );
      const made = mustExist(found, `key lgk_${prefix}_… that is in use`);
      const { id: keyId, key, senderId, oldExpiresAt } = made;
      const old = { prefix, expires_at: oldExpiresAt.toISOString() };
      return {
        json: { id: keyId, prefix: made.prefix, key, sender_id: senderId, replaces: old },
        text: key,
        shownOnce: true,
      };
    },
  }),
  command({
    name: 'revoke-key',
    summary: 'end a key for good; once more changes nothing',
    details: 'Running APIs remember keys for up to 5 seconds.',
    options: { prefix: required(keyPrefix) },
    run: async ({ withDatabase }, { prefix }) => {
      const found = await withDatabase((db) => revokeApiKey(db, prefix));
      const revokedAt = mustExist(found, `key lgk_${prefix}_…`).revokedAt.toISOString();
      return {
        json: { prefix, revoked_at: revokedAt },
        text: `lgk_${prefix}_… is revoked since ${revokedAt}`,
      };
    },
  }),
];

/** A scope that no role of the key allows would be believed to allow something. */
function refuseUseless({ roles, scopes }: { roles: Role[]; scopes: Scope[] | undefined }): void {
  const useless = (scopes ?? []).filter((scope) => !scopeRoles[scope].some((role) => roles.includes(role)));
  const [first] = useless;
  if (first === undefined) return;
  throw new UsageError(
    `--scopes has ${useless.join(', ')}, which ${roles.join(', ')} does not allow: ${first} needs the role ${scopeRoles[first].join(' or ')}`,
  );
}

function explainRefusal(error: unknown): never {
  if (violatedConstraint(error) !== 'api_keys_sender_id_fkey') throw error;
  throw new UsageError('there is no sender with this id; create-sender makes one', { cause: error });
}

function toRow(key: ListedKey) {
  const { id: keyId, prefix, status, roles, expiresAt, lookupVersion, senderId, name } = key;
  return [keyId, prefix, status, roles.join(','), timeOrNull(expiresAt), lookupVersion, senderId, name];
}

function toJson(key: ListedKey) {
  const { senderId, lookupVersion, expiresAt, revokedAt, createdAt, ...rest } = key;
  return {
    ...rest,
    sender_id: senderId,
    lookup_version: lookupVersion,
    expires_at: timeOrNull(expiresAt),
    revoked_at: timeOrNull(revokedAt),
    created_at: createdAt.toISOString(),
  };
}
