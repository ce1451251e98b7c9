import { parseArgs } from 'node:util';

export const usage = `usage: node services/reconciler/main.ts [--dry-run] [--policy FILE]

  --dry-run       look and decide, but send, delete and change nothing
  --policy FILE   DeadLetterPolicy in YAML or JSON (default: DEAD_LETTER_POLICY_FILE, else the built-in policy)

exit codes: 0 converged, 1 try again, 2 needs a person
`;

export type Arguments = { help: boolean; dryRun: boolean; policyFile: string | undefined };

/** @throws Error with a sentence for a person when an argument is not known */
export function parseArguments(argv: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      'dry-run': { type: 'boolean', default: false },
      policy: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return { help: values.help, dryRun: values['dry-run'], policyFile: values.policy };
}
