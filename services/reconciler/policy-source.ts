import { readFile } from 'node:fs/promises';
import { defaultPolicy } from './default-policy.ts';
import type { FoundPolicy, PolicySource } from './found-policy.ts';
import type { Policy } from './policy.ts';
import { PolicyError } from './policy-document.ts';

/** Policies of a file, or the built-in one. A file keeps no status: the log line of the run carries it. */
export function policyFile(path: string | undefined): PolicySource {
  return {
    load: async () => {
      // Only here: a run in a cluster, of which there is one a minute, reads no YAML and need not load what does.
      const { parsePolicies } = await import('./policy-text.ts');
      const policies =
        path === undefined
          ? parsePolicies(JSON.stringify(defaultPolicy), 'the built-in policy')
          : parsePolicies(await read(path), path);
      return policies.map(toFound);
    },
  };
}

function toFound(policy: Policy): FoundPolicy {
  return {
    name: policy.name,
    generation: policy.generation,
    content: { policy },
    previousStatus: null,
    publish: () => Promise.resolve(),
    follow: () => ({ stopped: new AbortController().signal, end: () => undefined }),
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
