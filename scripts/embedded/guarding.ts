import { spawn } from 'node:child_process';

const GUARDIAN = ['--disable-warning=ExperimentalWarning', 'scripts/embedded/guardian.ts'];

/**
 * Starts the process that stops the parts when this one is killed (see guardian.ts). In a group of its own, so that a
 * `kill -9` of ours does not reach it. @returns how to dismiss it, once every part was stopped in order
 */
export function startGuardian(): () => void {
  const guardian = spawn(process.execPath, GUARDIAN, {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Without it the next start cleans up: it is no reason not to start.
  guardian.on('error', () => undefined);
  guardian.stdin.on('error', () => undefined);
  guardian.unref();
  return () => void guardian.kill('SIGKILL');
}
