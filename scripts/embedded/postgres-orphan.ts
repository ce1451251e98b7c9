import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf, stopLeftovers } from './processes.ts';

/**
 * Ends the server that still runs on these data after its supervisor was killed. A lock file whose process id has
 * meanwhile gone to another program is removed: PostgreSQL would take that program for itself and refuse to start,
 * which after a restart of a container is the rule and not the exception.
 */
export async function stopOrphan(data: string, say: (line: string) => void): Promise<void> {
  const lockFile = join(data, 'postmaster.pid');
  if (!existsSync(lockFile)) return;
  const pid = Number(readFileSync(lockFile, 'utf8').split('\n')[0]);
  const identity = identityOf(pid);
  if (identity !== undefined && runsOn(pid, data)) {
    say('A PostgreSQL of an earlier run is still up on these data: stopping it first.');
    await stopLeftovers([{ name: 'postgres', pid, identity }], 20_000);
  }
  rmSync(lockFile, { force: true });
}

function runsOn(pid: number, data: string): boolean {
  const command =
    process.platform === 'linux'
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      : execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  return command.includes('postgres') && command.includes(data);
}
