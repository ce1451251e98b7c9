/**
 * One sender's accepts over HTTP beside many senders', and while a snapshot stays open elsewhere: each version of a row that is
 * dead stays for as long as it does. This release and the one before take turns, each on a database of its own, so that
 * a busy minute of the machine falls on all of them.
 *
 *   ACCEPTS=36000 node test/bench/senders.ts     while the snapshot is open: half an hour of 20 gifts a second
 */
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import pg from 'pg';
import { previousReleaseFolder } from '../support/previous-release.ts';
import { type AcceptingApi, startAcceptingApi, withSurroundings } from './accepting-api.ts';
import { addSent, giftPosts, perSecond, type Sent, sendGifts } from './send-gifts.ts';

const connections = 16;

export async function run(accepts = Number(process.env['ACCEPTS'] ?? 36_000)): Promise<void> {
  const previous = await previousReleaseFolder();
  try {
    await withSurroundings(async (around) => {
      const now = await startAcceptingApi(around, 'now');
      const held = await startAcceptingApi(around, 'now_with_snapshot');
      const before = await startAcceptingApi(around, 'before', previous.folder);
      for (const api of [now, held, before]) await give(api, 'many', 2_000);
      console.log(`no snapshot, ${connections} connections, load ${load()}`);
      console.table(await manyBesideOne({ now, before }));
      console.table(await underSnapshot({ now, held, before }, accepts));
      console.log(`load ${load()}`);
    });
  } finally {
    await previous.remove();
  }
}

const load = () => loadavg()[0]?.toFixed(1);

type Given = Sent & { cpuMs: number };
type Who = 'many' | 'one';

/** Beside the rate, which the neighbours on the machine share in, what Postgres' processes have worked for it. */
async function give(api: AcceptingApi, who: Who, forMs: number): Promise<Given> {
  const senders = who === 'many' ? api.senders : api.senders.slice(0, 1);
  const before = await cpuMsOf(api);
  const sent = await sendGifts(api.url, connections, giftPosts(senders, performance.now() + forMs));
  return { ...sent, cpuMs: (await cpuMsOf(api)) - before };
}

/** Of the server processes that the API's connections have; they stay open. */
async function cpuMsOf({ databaseUrl }: AcceptingApi): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query(
    'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  await client.end();
  const nanoseconds = rows.map(({ pid }) =>
    Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, own) => sum + own, 0) / 1e6;
}

const cpuEach = ({ cpuMs, latenciesMs }: Given) => Number((cpuMs / latenciesMs.length).toFixed(3));

function addGiven(sum: Given, given: Given): void {
  addSent(sum, given);
  sum.cpuMs += given.cpuMs;
}

async function manyBesideOne(apis: Record<string, AcceptingApi>, rounds = 6): Promise<object[]> {
  const sums = Object.entries(apis).map(([release, api]) => ({
    release,
    api,
    many: { seconds: 0, latenciesMs: [], cpuMs: 0 } as Given,
    one: { seconds: 0, latenciesMs: [], cpuMs: 0 } as Given,
  }));
  for (let round = 0; round < rounds; round += 1) {
    for (const { api, many, one } of sums) {
      addGiven(many, await give(api, 'many', 1_000));
      addGiven(one, await give(api, 'one', 1_000));
    }
  }
  return sums.map(({ release, many, one }) => ({
    release,
    'many senders, accepts/s': Math.round(perSecond(many)),
    'one sender, accepts/s': Math.round(perSecond(one)),
    'one of many': share(one, many),
    'Postgres, ms each: many': cpuEach(many),
    one: cpuEach(one),
  }));
}

type Compared = { now: AcceptingApi; held: AcceptingApi; before: AcceptingApi };

/** Slice by slice, until the one sender's accepts beside the snapshot are as many as asked for. */
async function underSnapshot({ now, held, before }: Compared, accepts: number): Promise<object[]> {
  const snapshots = await Promise.all([held, before].map(openSnapshot));
  const slices: object[] = [];
  let accepted = 0;
  while (accepted < accepts) {
    const free = await give(now, 'one', 2_500);
    const beside = await give(held, 'one', 2_500);
    const manyBeside = await give(held, 'many', 1_000);
    const old = await give(before, 'one', 2_500);
    accepted += beside.latenciesMs.length;
    slices.push({
      'accepts beside the snapshot': accepted,
      'no snapshot, accepts/s': Math.round(perSecond(free)),
      'with snapshot': Math.round(perSecond(beside)),
      'of none': share(beside, free),
      'of many with it': share(beside, manyBeside),
      'release before, with snapshot': Math.round(perSecond(old)),
      'of ours with none': share(old, free),
      'Postgres, ms each: none': cpuEach(free),
      snapshot: cpuEach(beside),
      'release before': cpuEach(old),
    });
  }
  for (const snapshot of snapshots) await snapshot.end();
  return slices;
}

async function openSnapshot({ databaseUrl }: AcceptingApi): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query('begin isolation level repeatable read');
  await client.query('select count(*) from ledger_accounts');
  return client;
}

const share = (part: Sent, whole: Sent) => `${Math.round((perSecond(part) / perSecond(whole)) * 100)} %`;

if (import.meta.main) await run();
