/** `npm run bench [-- name …]`: the measurements of docs/performance.md, one after the other, each in its own process. */
import { spawnSync } from 'node:child_process';
import { arch, cpus, platform, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { styleText } from 'node:util';

/** How PostgreSQL commits: as in production first, then without waiting for the disk, which flatters what commits often. */
const DURABILITIES = {
  production: 'PostgreSQL as in production: fsync=on, synchronous_commit=on',
  none: 'PostgreSQL with fsync=off: no commit waits for the disk',
} as const;

type Durability = keyof typeof DURABILITIES;

const both: Durability[] = ['production', 'none'];
/** Without a database, or counting what no disk changes. */
const once: Durability[] = ['none'];

const BENCHES: Record<string, { what: string; durabilities: Durability[] }> = {
  consumer: { what: 'our consumer runtime beside sqs-consumer and squiss-ts', durabilities: once },
  accept: { what: 'accepts beside a bare loop that runs the same statements', durabilities: both },
  senders: { what: 'one sender beside many, and beside a snapshot that stays open', durabilities: once },
  neighbours: { what: 'what refused gifts cost those who share a statement with them', durabilities: once },
  relay: { what: 'outbox rows published beside a loop that only sends', durabilities: both },
  'end-to-end': { what: 'gifts from the request to the mail', durabilities: both },
  redrive: { what: 'dead letters sent again, the queue alone', durabilities: once },
  reconcile: { what: 'dead letters judged and sent again by the reconciler', durabilities: both },
  ledger: { what: "the ledger's invariants as gifts grow", durabilities: once },
  months: { what: 'statements on tables kept by the month beside whole ones', durabilities: once },
  'cold-start': { what: 'what the start of each role costs beside bare Node', durabilities: once },
  explain: { what: 'pages that hot statements touch as gifts grow', durabilities: once },
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(', ')}. There are: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}

const processors = cpus();
const memoryGib = Math.round(totalmem() / 2 ** 30);
console.log(
  `${processors.length} × ${processors[0]?.model}, ${memoryGib} GiB, ${platform()} ${arch()}, Node ${process.version}`,
);

const failed = Object.entries(BENCHES)
  .filter(([name]) => asked.length === 0 || asked.includes(name))
  .filter(([name, { what, durabilities }]) => {
    console.log(`\n${styleText('bold', name)}: ${what}`);
    const statuses = durabilities.map((durability) => {
      if (durabilities.length > 1) console.log(DURABILITIES[durability]);
      return measure(name, durability);
    });
    return statuses.some((status) => status !== 0);
  });
for (const [name] of failed) console.error(`✘ ${name} failed`);

/** A process each: what one leaves in memory or in the JIT must not be measured in the next. */
function measure(name: string, durability: Durability): number | null {
  const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning'];
  return spawnSync(process.execPath, [...flags, resolve(`test/bench/${name}.ts`)], {
    stdio: 'inherit',
    env: { ...process.env, POSTGRES_DURABILITY: durability },
  }).status;
}

process.exitCode = failed.length === 0 ? 0 : 1;
