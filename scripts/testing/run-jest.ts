import { spawn } from 'node:child_process';

/** Runs Jest with one of our configurations and passes signals on. @returns its exit code */
export function runJest(config: string, args: readonly string[]): Promise<number> {
  const jest = ['node_modules/jest/bin/jest.js', '--config', config];
  const child = spawn(process.execPath, ['--experimental-vm-modules', '--no-warnings', ...jest, ...args], {
    stdio: 'inherit',
    // Workers are processes of their own and read the flags from here.
    env: {
      ...process.env,
      NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --experimental-vm-modules --no-warnings`.trim(),
    },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((done) => {
    child.once('close', (code) => done(code ?? 1));
  });
}
