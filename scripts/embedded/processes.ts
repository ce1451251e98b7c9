import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';

/** A process and when it began: a bare id may be somebody else's by the time it is read again. */
export interface ProcessRecord {
  name: string;
  pid: number;
  identity: string;
}

/** When the process began, as text to compare; undefined when there is no such process (or it is a zombie). */
export function identityOf(pid: number): string | undefined {
  try {
    return process.platform === 'linux' ? linuxIdentity(pid) : macIdentity(pid);
  } catch {
    return undefined;
  }
}

function isAlive(record: ProcessRecord): boolean {
  return identityOf(record.pid) === record.identity;
}

/** The group too: children of a part must not outlive it. A part is started detached, so its id is its group's. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Ends what a killed supervisor left behind, politely first: SIGINT is PostgreSQL's fast shutdown and a clean stop
 * for the rest. Resolves with those that were still there.
 */
export async function stopLeftovers(records: ProcessRecord[], graceMs = 10_000): Promise<ProcessRecord[]> {
  const left = records.filter(isAlive);
  for (const record of left) signalGroup(record.pid, 'SIGINT');
  const deadline = Date.now() + graceMs;
  while (left.some(isAlive) && Date.now() < deadline) await wait(50);
  for (const record of left.filter(isAlive)) signalGroup(record.pid, 'SIGKILL');
  while (left.some(isAlive)) await wait(20);
  return left;
}

/** Field 22 of /proc/<pid>/stat counts clock ticks since boot; the boot id keeps it from meaning another boot's. */
function linuxIdentity(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z') return undefined;
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot}:${fields[19]}`;
}

function macIdentity(pid: number): string | undefined {
  const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  return started === '' ? undefined : started;
}
