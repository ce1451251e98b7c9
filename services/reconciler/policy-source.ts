import { readFile } from 'node:fs/promises';
import { defaultPolicy } from './default-policy.ts';
import type { Policy } from './policy.ts';
import { PolicyError, parsePolicies } from './policy-document.ts';
import type { PolicyStatus } from './status.ts';

/** Where policies come from and, where somebody keeps it, where their status goes. */
export type PolicySource = {
  /** @throws PolicyError when what is there can't be used */
  load: () => Promise<Policy[]>;
  /** the status that was published last */
  previousStatus?: (policy: Policy) => Promise<PolicyStatus | null>;
  /** once, at the end of a run */
  publishStatus?: (policy: Policy, status: PolicyStatus) => Promise<void>;
};

/** Policies of a file, or the built-in one. A file keeps no status: the log line of the run carries it. */
export function policyFile(path: string | undefined): PolicySource {
  return {
    load: async () =>
      path === undefined
        ? parsePolicies(JSON.stringify(defaultPolicy), 'the built-in policy')
        : parsePolicies(await read(path), path),
  };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = `can't be read (${code ?? String(error)}); give --policy or DEAD_LETTER_POLICY_FILE a file that exists, or neither`;
    throw new PolicyError(path, [{ path: 'the file', message }]);
  }
}
