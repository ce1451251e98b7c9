import { randomBytes } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { createKeyringFile, parseKeyring } from '../../domain/recipients/keyring.ts';
import { usesOf } from '../../domain/recipients/lookup-keys.ts';
import { lookupRotation, RotationError } from '../../domain/recipients/rotate-lookup.ts';
import { fileProblem } from '../../runtime/file-problem.ts';
import { command } from '../command.ts';
import { readKeyring } from '../keyring-file.ts';
import { path, required, shortText, standard, wholeNumber } from '../options.ts';
import { UsageError } from '../refusals.ts';

const file = required(path('the keyring'));
const version = required(wholeNumber(1, 1_023, 'of the lookup key'));
const restart = 'Then restart every API and consumer with the file before the next step (docs/security.md).';

export const keyringCommands = [
  command({
    name: 'create-keyring',
    summary: 'write a new keyring; never over an existing file',
    options: {
      file: required(path('where to write it')),
      keyId: standard(shortText('name of its first wrapping key'), 'k1'),
    },
    run: async (_context, given) => {
      await writeFile(given.file, createKeyringFile(given.keyId), { flag: 'wx', mode: 0o600 }).catch(
        explainExisting(given.file),
      );
      return { json: { file: given.file, key_id: given.keyId }, text: given.file };
    },
  }),
  command({
    name: 'show-keyring',
    summary: 'which keys a keyring has, and what each is for; no key',
    options: { file },
    run: async (_context, given) => told(given.file, (await readKeyring(given.file)).json),
  }),
  command({
    name: 'check-keyring',
    summary: 'whether KEYRING_FILE is the keyring that the database was used with',
    details: 'API and consumer ask the same at their start. The first use of a database decides.',
    options: {},
    run: async ({ withDatabase, keyringOf }) => {
      const { currentKeyId, wrappingKeys } = await withDatabase(keyringOf);
      const json = { fits: true, current: currentKeyId, keys: [...wrappingKeys.keys()] };
      return { json, text: 'the keyring fits the database' };
    },
  }),
  command({
    name: 'add-lookup-key',
    summary: 'rotation of the lookup key, first step: a new version, known and not used',
    details: restart,
    options: { file },
    run: (_context, given) => change(given.file, (json) => lookupRotation.add(json).json),
  }),
  command({
    name: 'use-lookup-key',
    summary: 'rotation, second step: new claim links, codes and hashes are made with this version',
    details: restart,
    options: { file, version },
    run: (_context, given) => change(given.file, (json) => lookupRotation.use(json, given.version)),
  }),
  command({
    name: 'retire-lookup-key',
    summary: 'rotation, third step: claim links made with this version stop working',
    details: `A resend mails a link that works. ${restart}`,
    options: { file, version },
    run: (_context, given) => change(given.file, (json) => lookupRotation.retire(json, given.version)),
  }),
];

/** Written aside and renamed: a kill in the middle leaves the old keyring whole. */
async function change(path: string, step: (json: string) => string) {
  const changed = take(step, (await readKeyring(path)).json);
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(aside, changed, { flag: 'wx', mode: 0o600 }).catch(unwritable(aside));
    await rename(aside, path).catch(unwritable(path));
  } finally {
    await rm(aside, { force: true });
  }
  return told(path, changed);
}

function take(step: (json: string) => string, json: string): string {
  try {
    return step(json);
  } catch (error) {
    if (error instanceof RotationError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

function told(path: string, json: string) {
  const { currentKeyId, wrappingKeys, lookup } = parseKeyring(json);
  const uses = usesOf(lookup).toSorted((a, b) => Number(a.version) - Number(b.version));
  const lines = uses.map((one) => `lookup version ${one.version}: ${one.use}`);
  return {
    json: {
      file: path,
      current: currentKeyId,
      keys: [...wrappingKeys.keys()],
      lookup: uses.map((one) => ({ version: Number(one.version), use: one.use })),
    },
    text: [
      ...[...wrappingKeys.keys()].map((id) => `key ${id}: ${id === currentKeyId ? 'current' : 'known'}`),
      ...lines,
    ].join('\n'),
  };
}

function unwritable(path: string) {
  return (error: unknown): never => {
    const problem = fileProblem(error);
    if (problem === undefined) throw error;
    throw new UsageError(`${path} can not be written: it ${problem}`, { cause: error });
  };
}

/** Over an existing keyring it would make every sealed recipient unreadable, so an existing file is an error. */
function explainExisting(path: string) {
  return (error: unknown): never => {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') unwritable(path)(error);
    throw new UsageError(`${path} exists already and may hold keys that are in use`, { cause: error });
  };
}
