/** `npm run check`: what must hold before a commit, cheapest first; everything runs, so that one look shows all. */
import { spawnSync } from 'node:child_process';
import { styleText } from 'node:util';

const STEPS: { name: string; command: string[] }[] = [
  { name: 'lint', command: ['node_modules/@biomejs/biome/bin/biome', 'check'] },
  { name: 'types', command: ['node_modules/typescript/bin/tsc', '-p', '.'] },
  { name: 'tests', command: ['scripts/test.ts'] },
  { name: 'build', command: ['scripts/build.ts'] },
];

const results = STEPS.map(({ name, command }) => {
  console.log(styleText('bold', `\n── ${name}`));
  const startedAt = performance.now();
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
  return { name, ok: status === 0, seconds: ((performance.now() - startedAt) / 1000).toFixed(1) };
});

console.log('');
for (const { name, ok, seconds } of results) {
  console.log(`${ok ? styleText('green', '✔') : styleText('red', '✘')} ${name.padEnd(6)} ${seconds} s`);
}
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;
