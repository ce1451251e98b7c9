import { readFileSync } from 'node:fs';

/** CPU until a role has read its command line, and the most memory that it held until then; of `bare Node` as well. */
export type ColdStarts = Record<string, { cpuMs: number; memoryMib: number }>;

/** For Node's `--eval`, in the folder that holds `dist`, here or in a pod. Prints a `ColdStarts` as JSON. */
export const coldStartScript = readFileSync(new URL('cold-start.mjs', import.meta.url), 'utf8');

export function describeColdStarts(starts: ColdStarts): string {
  const bare = starts['bare Node']?.cpuMs ?? 0;
  return Object.entries(starts)
    .map(
      ([role, { cpuMs, memoryMib }]) =>
        `  ${role.padEnd(12)}${cpuMs.toFixed(0).padStart(5)} ms of CPU (${(cpuMs - bare).toFixed(0)} over bare Node), ${memoryMib.toFixed(1)} MiB`,
    )
    .join('\n');
}
