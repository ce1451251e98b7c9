import { randomBytes } from 'node:crypto';
import { parseKeyring, readKeyringFile } from './keyring.ts';
import { highestLookupVersion } from './lookup-keys.ts';

/** A step that can't be taken with this keyring. The message says why. */
export class RotationError extends Error {
  override readonly name = 'RotationError';
}

/**
 * The steps of a rotation of the lookup key, each over the text of a keyring file. Between two steps every process is
 * restarted with the file: one that does not know a version refuses the claim links and keys that another made with it.
 */
export const lookupRotation = {
  /** First step: a new version that everybody knows and nobody uses yet. */
  add: (json: string): { json: string; version: number } => {
    const { lookup } = readKeyringFile(json);
    const version = Math.max(...Object.keys(lookup.keys).map(Number)) + 1;
    if (version > highestLookupVersion) throw new RotationError('no further version can be added');
    const key = randomBytes(32).toString('base64');
    return { version, json: changed(json, (file) => ({ ...file, keys: { ...file.keys, [version]: key } })) };
  },

  /** Second step: new claim links, codes and hashes are made with it. */
  use: (json: string, version: number): string => {
    known(json, version);
    const { lookup } = readKeyringFile(json);
    if (lookup.retired.includes(version)) throw new RotationError(`version ${version} is retired`);
    return changed(json, (file) => ({ ...file, current: version }));
  },

  /** Third step: claim links made with it stop working. Its key stays, for the codes and keys that hang on it. */
  retire: (json: string, version: number): string => {
    known(json, version);
    const { lookup } = readKeyringFile(json);
    if (lookup.current === version) {
      throw new RotationError(`version ${version} is the current one: make another one current first`);
    }
    return changed(json, (file) => ({ ...file, retired: [...new Set([...file.retired, version])] }));
  },
} as const;

type LookupText = { current: number; keys: Record<string, string>; retired: number[] };

function known(json: string, version: number): void {
  if (version in readKeyringFile(json).lookup.keys) return;
  throw new RotationError(`the keyring has no lookup key of version ${version}`);
}

function changed(json: string, change: (lookup: LookupText) => LookupText): string {
  const file = JSON.parse(json) as { lookup: string | Partial<LookupText> };
  const { lookup } = file;
  const now =
    typeof lookup === 'string'
      ? { current: 1, keys: { 1: lookup }, retired: [] }
      : { current: 1, keys: {}, retired: [], ...lookup };
  const text = `${JSON.stringify({ ...file, lookup: change(now) }, null, 2)}\n`;
  // What can't be read must not be written over what can.
  parseKeyring(text);
  return text;
}
