import { readFile } from 'node:fs/promises';
import { EnvironmentError } from './env.ts';

/** What the system says of a file, for the person who named it. */
const sentences: Readonly<Record<string, string>> = {
  ENOENT: 'is not there, or its folder is not',
  ENOTDIR: 'is not there: a part of its path is no folder',
  EISDIR: 'is a folder',
  EACCES: 'is not for this user',
  EPERM: 'is not for this user',
  EROFS: 'stands on a file system that can only be read',
  ENOSPC: 'finds no space left',
  EDQUOT: 'finds no space left',
  ELOOP: 'is a link that leads nowhere',
  ENAMETOOLONG: 'has a name that is too long',
  ERR_INVALID_ARG_VALUE: 'has a name that no file can have',
};

/** What is the matter with a file, as the end of a sentence; undefined when the error is about something else. */
export function fileProblem(error: unknown): string | undefined {
  const { code = '' } = error as NodeJS.ErrnoException;
  const said = sentences[code];
  return said && `${said} (${code})`;
}

/**
 * Reads the file that a variable names.
 * @param read throws an error whose message says what is wrong and quotes nothing of the file
 * @throws EnvironmentError when there is no such file, or it is of no use
 */
export async function fileOfVariable<T>(
  variable: string,
  path: string,
  read: (text: string) => T,
): Promise<T> {
  try {
    return read(await readFile(path, 'utf8'));
  } catch (error) {
    const problem = fileProblem(error) ?? (error instanceof Error ? error.message : 'can not be used');
    throw new EnvironmentError([{ variable, problem: `${path}: ${problem}`, remedy: undefined }]);
  }
}
