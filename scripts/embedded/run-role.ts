import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { askRunning } from './control.ts';
import type { Environment } from './environment.ts';
import { ENVIRONMENT_FILE } from './folder.ts';

/**
 * Runs a program in the environment of the running system, on this terminal; resolves with its exit code. How it is used
 * can be asked before anything runs.
 * @param needsNothing it works without any of the system, running or not
 * @param defaults variables that differ from the running system's, unless this terminal sets them
 */
export async function runRoleOrHelp(
  args: string[],
  defaults: Environment = {},
  { needsNothing = false } = {},
): Promise<number> {
  if (needsNothing || args.some((arg) => arg === '--help' || arg === '-h'))
    return await run(args, process.env);
  if ((await askRunning('status')) === undefined) {
    console.error('Largesse is not running from this clone. Start it with: npm start');
    return 1;
  }
  const running = parseEnv(readFileSync(ENVIRONMENT_FILE, 'utf8'));
  const chosen = Object.entries(defaults).map(([name, value]) => [name, process.env[name]?.trim() || value]);
  // The running system's last: another DATABASE_URL in this terminal would be another system.
  return await run(args, { ...process.env, ...running, ...Object.fromEntries(chosen) });
}

function run(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
      stdio: 'inherit',
      env,
    });
    // The terminal's Ctrl-C reaches the child by itself; this process only waits for it.
    process.on('SIGINT', () => undefined);
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}
