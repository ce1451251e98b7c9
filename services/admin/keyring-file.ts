import { readFile } from 'node:fs/promises';
import { type Keyring, parseKeyring } from '../domain/recipients/keyring.ts';
import { fileProblem } from '../runtime/file-problem.ts';
import { UsageError } from './refusals.ts';

/** @throws UsageError naming the file: one that is not there, or is no keyring, is for a person to mend */
export async function readKeyring(path: string): Promise<{ json: string; keyring: Keyring }> {
  try {
    const json = await readFile(path, 'utf8');
    return { json, keyring: parseKeyring(json) };
  } catch (cause) {
    const problem = fileProblem(cause);
    const why = problem === undefined ? (cause as Error).message : `it ${problem}`;
    throw new UsageError(`${path} can not be used as a keyring: ${why}`, { cause });
  }
}
