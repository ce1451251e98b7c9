/** `npm test [-- path or Jest options]`: every test that needs no cluster. */
import { spawn } from 'node:child_process';

const jest = ['node_modules/jest/bin/jest.js', '--config', 'test/jest.config.js'];
const child = spawn(
  process.execPath,
  ['--experimental-vm-modules', '--no-warnings', ...jest, ...process.argv.slice(2)],
  {
    stdio: 'inherit',
    // Workers are processes of their own and read the flags from here.
    env: {
      ...process.env,
      NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --experimental-vm-modules --no-warnings`.trim(),
    },
  },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.once('close', (code) => {
  process.exitCode = code ?? 1;
});
