/** `npm run fuzz [-- --cases N --seconds S --seed S]`: no input of any kind may give a 5xx, or reach a log. */
import { spawnSync } from 'node:child_process';

const run = spawnSync(
  process.execPath,
  ['--disable-warning=ExperimentalWarning', 'test/fuzz/main.ts', ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exitCode = run.status ?? 1;
