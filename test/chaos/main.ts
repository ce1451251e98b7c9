/**
 * `npm run chaos -- --gifts N --seed S`: gives N gifts while everything that can happen to a system happens to this one, then
 * heals it, lets it come to rest, and checks every gift, every cent, every voucher and every answer.
 *
 * @returns exit code 0 when all is well, 1 when something is not, 2 for a wrong option
 */
import { parseArgs } from 'node:util';
import pg from 'pg';
import { checkBooks, type Finding } from './books.ts';
import { createDice } from './dice.ts';
import { type Chaos, startChaos } from './faults.ts';
import { startRecipients } from './recipients.ts';
import { comeToRest } from './rest.ts';
import { startSenders } from './senders.ts';
import { type ChaosSystem, createSystem } from './system.ts';

const usage = `npm run chaos -- [options]

  --gifts N   how many gifts are given (500)
  --seed S    what chooses the faults and who gives what (random; printed)
  --rate R    gifts per second (12)`;
/** About one SIGKILL for every twenty gifts at the usual rate. */
const faultsPerSecond = 1.5;
const { gifts, seed, perSecond } = readOptions();
const say = (line: string) => console.log(`${clock()}  ${line}`);
const began = performance.now();

console.log(`chaos: ${gifts} gifts at ${perSecond}/s, seed ${seed}`);
const dice = createDice(seed);
const system = await createSystem();
// Whoever stops the run must not leave a dozen processes behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void system.end().finally(() => process.exit(130)));
try {
  process.exitCode = await run(system);
} finally {
  await system.end();
}

async function run(system: ChaosSystem): Promise<number> {
  const senders = await startSenders(system, dice.split(), { gifts, perSecond });
  const recipients = startRecipients(system, dice.split());
  say('everybody gives; chaos begins');
  const chaos = startChaos(system, dice.split(), { perSecond: faultsPerSecond });
  const ticking = setInterval(() => say(progress(senders.givings.length, chaos)), 10_000);
  await senders.asked;
  await chaos.end();
  clearInterval(ticking);
  say(`chaos is over: ${progress(senders.givings.length, chaos)}`);
  await senders.done;
  await recipients.end();
  const pool = new pg.Pool({ connectionString: system.postgres.url, max: 2 });
  pool.on('error', () => undefined);
  const rested = await comeToRest(pool, 240_000, say);
  await endRoles(system);
  const findings = await checkBooks(pool, senders, system.mail);
  if (!rested) say('it did not come to rest');
  for (const [gift, codes] of recipients.codes)
    if (codes.size > 1) findings.push({ rule: 'a voucher has one code', broken: [gift] });
  await tell(pool, findings, chaos);
  await pool.end();
  return findings.every(({ broken }) => broken.length === 0) ? 0 : 1;
}

async function endRoles({ reconciling, consumers, apis }: ChaosSystem): Promise<void> {
  await reconciling.end();
  for (const role of [...consumers, ...apis]) {
    const code = await role.end();
    if (code === 0) continue;
    const last = role.process().output().split('\n').slice(-8);
    say(`${role.name} ended with ${code}:\n${last.join('\n')}`);
  }
}

async function tell(pool: pg.Pool, findings: Finding[], chaos: Chaos): Promise<void> {
  console.log('\nfaults');
  for (const [name, count] of [...chaos.counts].toSorted(([, a], [, b]) => b - a))
    console.log(`  ${String(count).padStart(4)}  ${name}`);
  const { rows } = await pool.query('select state, count(*)::integer from gifts group by 1 order by 1');
  console.log('\ngifts');
  for (const { state, count } of rows as { state: string; count: number }[])
    console.log(`  ${String(count).padStart(4)}  ${state}`);
  const mails = system.mail.mails();
  const copies = mails.length - new Set(mails.map(({ messageId }) => messageId)).size;
  console.log(`\nmails\n  ${String(mails.length).padStart(4)}  arrived, ${copies} of them second copies\n`);
  for (const { rule, broken } of findings) {
    console.log(`${broken.length === 0 ? '✔' : '✘'} ${rule}`);
    for (const one of broken.slice(0, 20)) console.log(`    ${one}`);
    if (broken.length > 20) console.log(`    … and ${broken.length - 20} more`);
  }
}

function progress(given: number, { counts }: Chaos): string {
  const happened = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return `${given} gifts asked for, ${system.mail.mails().length} mails, ${happened} faults`;
}

function clock(): string {
  return `${((performance.now() - began) / 1_000).toFixed(0).padStart(5)} s`;
}

function readOptions(): { gifts: number; seed: number; perSecond: number } {
  const { values } = parseOptions();
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const wholeNumber = (name: 'gifts' | 'seed' | 'rate') => {
    const value = Number(values[name]);
    if (!Number.isSafeInteger(value) || value < 1) refuse(`--${name} takes a whole number above 0`);
    return value;
  };
  return { gifts: wholeNumber('gifts'), seed: wholeNumber('seed'), perSecond: wholeNumber('rate') };
}

function parseOptions() {
  try {
    return parseArgs({
      options: {
        gifts: { type: 'string', default: '500' },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        rate: { type: 'string', default: '12' },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function refuse(problem: string): never {
  console.error(`${problem}\n\n${usage}`);
  process.exit(2);
}
