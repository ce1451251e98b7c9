// What a role's start costs, to the moment when it has read its command line: CPU time and memory of its own process, the least of several
// starts. Run by Node in the folder of the bundles' folder, here or in a pod; prints JSON, by role.
import { spawnSync } from 'node:child_process';

const STARTS = 6;
const tell = `process.once('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  process.stderr.write('\\n@' + (userCPUTime + systemCPUTime) / 1e3 + ' ' + maxRSS / 1024);
})`;

function measure(args) {
  const least = { cpuMs: Number.POSITIVE_INFINITY, memoryMib: Number.POSITIVE_INFINITY };
  for (let start = 0; start < STARTS; start += 1) {
    const told = spawnSync(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(tell)}`, ...args],
      { encoding: 'utf8' },
    );
    const [, cpuMs, memoryMib] = /@(\S+) (\S+)$/.exec(told.stderr) ?? [];
    if (memoryMib === undefined) throw new Error(`${args.join(' ')} did not start: ${told.stderr}`);
    least.cpuMs = Math.min(least.cpuMs, Number(cpuMs));
    least.memoryMib = Math.min(least.memoryMib, Number(memoryMib));
  }
  return least;
}

const bundles = ['reconciler', 'consumer', 'admin', 'api'].map((role) => [
  role,
  measure([`dist/${role}.js`, '--help']),
]);
process.stdout.write(
  JSON.stringify(Object.fromEntries([['bare Node', measure(['--eval', '0'])], ...bundles])),
);
