import { runMain } from '../runtime/run-main.ts';
import type { Answer } from './command.ts';
import { createContext } from './context.ts';
import { parseCommandLine } from './program.ts';
import { Unreachable, UsageError } from './refusals.ts';

await runMain('admin', async () => {
  try {
    return await runAsked();
  } catch (error) {
    // What a person can mend is one sentence; of all else a stack says more.
    if (!(error instanceof UsageError || error instanceof Unreachable)) throw error;
    process.stderr.write(`largesse admin: ${error.message}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
});

async function runAsked(): Promise<number> {
  const asked = parseCommandLine(process.argv.slice(2));
  if (asked.kind === 'show') return (await print(asked.text)) ? 0 : 1;
  const answer = await asked.run(createContext(process.env));
  const isTaken = await print(shown(answer, asked.json));
  // A migration is no less done when nobody reads its log; a key that nobody saw is there, and of no use.
  if (isTaken || answer.shownOnce !== true) return 0;
  process.stderr.write('largesse admin: it was done, but nobody took what it printed\n');
  return 1;
}

function shown({ json, text }: Answer, asJson: boolean): string {
  return `${asJson ? JSON.stringify(json) : text}\n`;
}

/** Whether somebody took it. */
function print(text: string): Promise<boolean> {
  return new Promise((resolve) => process.stdout.write(text, (error) => resolve(!error)));
}
