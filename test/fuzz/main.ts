/**
 * `npm run fuzz -- --cases N --seconds S --seed S`: no input gives a 5xx or reaches a log, what OpenAPI allows is taken, and
 * what it does not allow is refused. Raw sockets first, then schemathesis with the key of every role.
 *
 * @returns exit code 0 when all is well, 1 when something is not, 2 for a wrong option, 3 when schemathesis could not be had
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createDice } from '../chaos/dice.ts';
import { prepareSchemathesis, type Schemathesis } from './schemathesis.ts';
import { brokenAtRandom, marker, type RawCase, rawCases, sendRaw } from './sockets.ts';
import { type FuzzedSystem, startFuzzedSystem } from './system.ts';

const usage = `npm run fuzz -- [options]

  --cases N     how many cases schemathesis makes at least (100000)
  --seconds S   when it stops at the latest (no limit)
  --seed S      what the cases are made from (random; printed)`;
const notRun = 3;
/** Few enough that one run ends, and many enough that its beginning does not count. */
const casesPerOperation = 400;
const options = readOptions();

console.log(`fuzz: ${options.cases} cases, seed ${options.seed}`);
const system = await startFuzzedSystem();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void system.end().finally(() => process.exit(130)));
try {
  process.exitCode = await fuzz(system);
} finally {
  await system.end();
}

async function fuzz(fuzzed: FuzzedSystem): Promise<number> {
  const problems = await fuzzSockets(fuzzed);
  const schemathesis = await prepareSchemathesis().catch((error: Error) => {
    console.log(`NOT RUN: schemathesis could not be installed: ${error.message.split('\n')[0]}`);
    return null;
  });
  if (schemathesis) problems.push(...(await fuzzOperations(schemathesis, fuzzed)));
  problems.push(...fuzzed.badLogLines([marker]).map((line) => `logged: ${line}`));
  for (const problem of problems) console.log(`✘ ${problem}`);
  console.log(`${problems.length} found`);
  if (problems.length > 0) return 1;
  return schemathesis ? 0 : notRun;
}

async function fuzzSockets({ url, keys }: FuzzedSystem): Promise<string[]> {
  const dice = createDice(options.seed);
  const cases = [
    ...rawCases(keys.all),
    ...brokenAtRandom(keys.all, 2_000, () => dice.between(0, 999_999) / 1_000_000),
  ];
  const problems: string[] = [];
  const waiting = cases.values();
  const send = async (next: RawCase) => {
    const problem = await sendRaw(url, next);
    if (problem !== null)
      problems.push(
        `${next.name}: ${problem}: ${JSON.stringify(next.bytes.toString('latin1').slice(0, 400))}`,
      );
  };
  const sending = async () => {
    for (const next of waiting) await send(next);
  };
  await Promise.all(Array.from({ length: 20 }, sending));
  console.log(`sockets: ${cases.length} cases, ${problems.length} found`);
  return problems;
}

/** One key with every role, and money in every currency, makes the most of the cases; then one of each role alone. */
async function fuzzOperations(schemathesis: Schemathesis, { url, keys }: FuzzedSystem): Promise<string[]> {
  const endsAt = performance.now() + options.seconds * 1_000;
  const { all, ...single } = keys;
  const turns = Array.from({ length: 4 }, () => ['all', all] as const);
  const order = [...turns, ...Object.entries(single)];
  let made = 0;
  for (let turn = 0; made < options.cases; turn += 1) {
    const seconds = Math.floor((endsAt - performance.now()) / 1_000);
    if (seconds < 1) break;
    const [role = 'all', key = all] = order[turn % order.length] ?? [];
    const seed = options.seed + turn;
    const run = await schemathesis({ url, key, casesPerOperation, seconds, seed });
    made += run.cases;
    console.log(`schemathesis: ${run.cases} cases as ${role}, seed ${seed}; ${made} in all`);
    if (run.failed) return [`schemathesis, as ${role}, seed ${seed}:\n${run.output}`];
  }
  return [];
}

function readOptions(): { cases: number; seconds: number; seed: number } {
  try {
    const { values } = parseArgs({
      options: { cases: { type: 'string' }, seconds: { type: 'string' }, seed: { type: 'string' } },
    });
    const read = {
      cases: Number(values.cases ?? 100_000),
      seconds: Number(values.seconds ?? 86_400),
      seed: Number(values.seed ?? randomInt(1_000_000)),
    };
    if (Object.values(read).every((value) => Number.isSafeInteger(value) && value > 0)) return read;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
  }
  console.error(usage);
  process.exit(2);
}
