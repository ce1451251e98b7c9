import { parseArgs } from 'node:util';
import type { Release } from './quarantine-hold.ts';

export const usage = `usage: node dist/reconciler.js [--dry-run] [--policy FILE] [--release VERDICT] [--unpark ID]
       npm run reconcile -- [the same], while npm start runs

  --dry-run          look and decide, but send, delete and change nothing
  --policy FILE      DeadLetterPolicy in YAML or JSON (default: DEAD_LETTER_POLICY_FILE, else the built-in policy)
  --release VERDICT  let what the quarantine breaker, or maxRedrives, holds for a person go its way in this run:
                     redrive: its gifts are delivered after all; quarantine: they fail, and their money is returned
  --unpark ID        send one quarantined unreadable message (ddl_…) to its queue again, and do nothing else

exit codes: 0 converged, 1 try again, 2 needs a person
`;

export type Arguments = {
  help: boolean;
  dryRun: boolean;
  policyFile: string | undefined;
  release: Release | null;
  unpark: string | null;
};

/** @throws Error with a sentence for a person when an argument is not known */
export function parseArguments(argv: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      'dry-run': { type: 'boolean', default: false },
      policy: { type: 'string' },
      release: { type: 'string' },
      unpark: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return {
    help: values.help,
    dryRun: values['dry-run'],
    policyFile: values.policy,
    release: readRelease(values.release),
    unpark: values.unpark ?? null,
  };
}

function readRelease(text: string | undefined): Release | null {
  if (text === undefined || text === 'quarantine' || text === 'redrive') return text ?? null;
  throw new Error(`--release takes redrive or quarantine, not ${JSON.stringify(text)}`);
}
