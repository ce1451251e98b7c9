import { spawn } from 'node:child_process';
import { askRunning } from './control.ts';
import type { Environment } from './environment.ts';
import { ENVIRONMENT_FILE } from './folder.ts';

/**
 * Runs a program in the environment of the running system, on this terminal; resolves with its exit code.
 * @param defaults variables that differ from the running system's, unless this terminal sets them
 */
export async function runRole(args: string[], defaults: Environment = {}): Promise<number> {
  if ((await askRunning('status')) === undefined) {
    console.error('Largesse is not running from this clone. Start it with: npm start');
    return 1;
  }
  const flags = ['--disable-warning=ExperimentalWarning', `--env-file=${ENVIRONMENT_FILE}`];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, ...args], {
      stdio: 'inherit',
      env: { ...defaults, ...process.env },
    });
    // The terminal's Ctrl-C reaches the child by itself; this process only waits for it.
    process.on('SIGINT', () => undefined);
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}
