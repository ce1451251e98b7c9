import { parseArgs } from 'node:util';
import type { Role } from '../database/states.ts';
import { isId, type SenderId } from '../domain/ids.ts';
import { apiKeyPrefix, roles, type Scope, scopes } from '../domain/senders/api-key.ts';

export type Command =
  | { name: 'migrate' }
  | { name: 'create-sender'; sender: { name: string; kind: 'person' | 'system' } }
  | {
      name: 'create-key';
      key: {
        senderId: SenderId;
        name: string;
        roles: Role[];
        scopes: Scope[] | null;
        expiresAt: Date | null;
      };
    }
  | { name: 'revoke-key'; prefix: string }
  | { name: 'create-keyring'; file: string; keyId: string };

export const usage = `usage: node services/admin/main.ts <command>

  migrate                                  bring the schema up to date; with QUEUE_PROVISIONING=create the queues too
  create-sender --name N [--kind system|person]
  create-key --sender sen_… --roles R[,R…] [--scopes S[,S…]] [--name N] [--expires-at T]
                                           prints the key, once
  revoke-key --prefix P                    P: the key's 12 characters after lgk_, which logs show as key_prefix
  create-keyring --file F [--key-id K]     writes a new keyring; never over an existing file

  roles:  ${roles.join(', ')}
  scopes: ${scopes.join(', ')} (left out: all that the roles allow)
`;

/** The command line does not make sense. The message says what to change. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError */
export function parseCommand(argv: readonly string[]): Command {
  const [name = '', ...rest] = argv;
  const parse = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!parse) throw new UsageError(name === '' ? 'a command is missing' : `there is no command "${name}"`);
  return parse(rest);
}

const commands: Record<string, (args: string[]) => Command> = {
  migrate: (args) => {
    options(args, []);
    return { name: 'migrate' };
  },
  'create-sender': (args) => {
    const given = options(args, ['name', 'kind']);
    const kind = given.get('kind') ?? 'system';
    if (kind !== 'system' && kind !== 'person') throw new UsageError('--kind is system or person');
    return { name: 'create-sender', sender: { name: shortText('--name', required(given, 'name')), kind } };
  },
  'create-key': (args) => {
    const given = options(args, ['sender', 'roles', 'scopes', 'name', 'expires-at']);
    const scopeList = given.get('scopes');
    return {
      name: 'create-key',
      key: {
        senderId: senderId(required(given, 'sender')),
        name: shortText('--name', given.get('name') ?? 'key'),
        roles: someOf('--roles', required(given, 'roles'), roles),
        scopes: scopeList === undefined ? null : someOf('--scopes', scopeList, scopes),
        expiresAt: future(given.get('expires-at')),
      },
    };
  },
  'revoke-key': (args) => {
    const prefix = apiKeyPrefix(required(options(args, ['prefix']), 'prefix'));
    if (prefix === null) throw new UsageError('--prefix is not the 12 characters after lgk_ of a key');
    return { name: 'revoke-key', prefix };
  },
  'create-keyring': (args) => {
    const given = options(args, ['file', 'key-id']);
    return {
      name: 'create-keyring',
      file: required(given, 'file'),
      keyId: shortText('--key-id', given.get('key-id') ?? 'k1'),
    };
  },
};

function options(args: string[], names: string[]): Map<string, string> {
  const known = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  try {
    const { values } = parseArgs({ args, options: known, strict: true, allowPositionals: false });
    return new Map(
      Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function required(given: ReadonlyMap<string, string>, name: string): string {
  const value = given.get(name);
  if (value) return value;
  throw new UsageError(`--${name} is missing`);
}

function shortText(option: string, text: string): string {
  if (text.trim() !== '' && [...text].length <= 200) return text;
  throw new UsageError(`${option} needs 1 to 200 characters`);
}

function senderId(text: string): SenderId {
  if (isId('sen', text)) return text;
  throw new UsageError('--sender is not the id of a sender, sen_…');
}

function someOf<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  const given = text.split(',').map((part) => part.trim());
  const unknown = given.filter((part) => !known.some((one) => one === part));
  if (unknown.length > 0)
    throw new UsageError(`${option} does not know ${unknown.join(', ')}; choose from ${known.join(', ')}`);
  return known.filter((one) => given.includes(one));
}

function future(text: string | undefined): Date | null {
  if (text === undefined) return null;
  const time = new Date(text);
  if (time.getTime() > Date.now()) return time;
  throw new UsageError('--expires-at needs an RFC 3339 time in the future, for example 2030-01-31T00:00:00Z');
}
