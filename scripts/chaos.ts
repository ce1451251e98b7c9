/** `npm run chaos -- --gifts N --seed S`: the whole system while everything fails, and its books afterwards. */
import { spawnSync } from 'node:child_process';

const run = spawnSync(
  process.execPath,
  ['--disable-warning=ExperimentalWarning', 'test/chaos/main.ts', ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exitCode = run.status ?? 1;
