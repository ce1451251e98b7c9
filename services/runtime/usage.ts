/**
 * What a role does with the words behind its name: asked for help it shows how it is started and starts nothing, and a word that it
 * does not know is not passed over, as whoever wrote it believes that it did something.
 *
 * @returns the exit code; undefined when the role is to start
 */
export function answerUsage(usage: string, wanted: readonly string[]): number | undefined {
  const given = process.argv.slice(2);
  const text = `usage: ${usage}\n\nIts settings are environment variables: docs/operations.md lists them.\n`;
  if (given.some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(text);
    return 0;
  }
  if (given.length === wanted.length && given.every((word, at) => word === wanted[at])) return undefined;
  process.stderr.write(text);
  return 2;
}
