/**
 * What it costs the database that attempts and audit records are kept by the month: CPU time of a backend, with 36 months
 * behind it, beside the same rows in tables that are whole. Prepared statements, as the product runs them.
 *
 *   node test/bench/months.ts                  1,000,000 rows in each table
 *   ROWS=10000000 node test/bench/months.ts
 */
import { readFileSync } from 'node:fs';
import type { Kysely, Transaction } from 'kysely';
import { createDatabase } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import { migrations } from '../../services/database/migrations/index.ts';
import { closeLeftovers } from '../../services/database/queries/close-leftovers.ts';
import { readLifecycleInvariants } from '../../services/database/queries/lifecycle-invariants.ts';
import { countRecent } from '../../services/database/queries/queue-activity.ts';
import { readQueueProgress } from '../../services/database/queries/queue-progress.ts';
import { countDelivered } from '../../services/database/queries/reconciler-quarantine.ts';
import type { Database } from '../../services/database/schema.ts';
import { claimGifts } from '../../services/domain/deliveries/claim-gifts.ts';
import { settleDeliveries } from '../../services/domain/deliveries/settle-deliveries.ts';
import { readTimeline } from '../../services/domain/gifts/timeline.ts';
import type { GiftId } from '../../services/domain/ids.ts';
import { createEmptyDatabase, withDatabaseName } from '../support/database.ts';
import { accept, draftGift, type FundedSender, fundedSender, keyring } from '../support/gifts.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { divideThePast, growMonths } from './grow-months.ts';

const rounds = 200;
type Work = (db: Kysely<Database>) => Promise<unknown>;

export async function run(): Promise<void> {
  const rows = Number(process.env['ROWS'] ?? 1_000_000);
  const server = await startPostgres();
  try {
    const whole = await measure(server.url, 'whole', rows);
    const divided = await measure(server.url, 'divided', rows);
    const ms = (costs: Map<string, number>, work: string) =>
      Number((costs.get(work) ?? Number.NaN).toFixed(2));
    console.table(
      [...whole.keys()].map((work) => ({
        work,
        'CPU ms, whole': ms(whole, work),
        '36 months': ms(divided, work),
      })),
    );
  } finally {
    await server.stop();
  }
}

async function measure(
  server: string,
  kind: 'whole' | 'divided',
  rows: number,
): Promise<Map<string, number>> {
  await createEmptyDatabase(server, kind);
  const { db, pool } = createDatabase({
    connectionString: withDatabaseName(server, kind),
    poolMax: 1,
    applicationName: 'largesse-months',
    statementTimeoutMs: 3_600_000,
  });
  const used = Object.entries(migrations).filter(
    ([key]) => kind === 'divided' || !key.startsWith('2026-11-28-20'),
  );
  await migrate(db, Object.fromEntries(used));
  if (kind === 'divided') await divideThePast(db);
  await growMonths(db, rows);
  const sender = await fundedSender(db, 1_000_000_000);
  const { gifts } = await accept(
    db,
    Array.from({ length: 20 }, () => draftGift(sender)),
  );
  const ids = gifts.map(({ id }) => id);
  const { rows: backends } = await pool.query('select pg_backend_pid() as pid');
  const costs = new Map<string, number>();
  for (const [name, work] of works(sender, ids)) {
    // Until the server has settled on a plan.
    for (let round = 0; round < 8; round += 1) await work(db);
    const before = cpuMs(backends[0].pid);
    for (let round = 0; round < rounds; round += 1) await work(db);
    costs.set(name, (cpuMs(backends[0].pid) - before) / rounds);
  }
  await db.destroy();
  return costs;
}

function works(sender: FundedSender, gifts: GiftId[]): [string, Work][] {
  const claim = async (trx: Transaction<Database>) => {
    const requests = gifts.slice(0, 10).map((giftId) => ({ giftId, messageId: 'm', receiveCount: 1 }));
    const results = await claimGifts(trx, { keyring, leaseSeconds: 60 }, requests);
    return results.flatMap((result) => (result.kind === 'claimed' ? [result.work] : []));
  };
  const settle = async (trx: Transaction<Database>) => {
    const sent = (await claim(trx)).map(({ deliveryId, attempt }) => ({
      deliveryId,
      attempt,
      outcome: 'sent' as const,
    }));
    await settleDeliveries(trx, sent);
  };
  const accepted = (trx: Transaction<Database>) =>
    accept(
      trx,
      Array.from({ length: 10 }, () => draftGift(sender)),
    );
  return [
    ['accept 10 gifts', undone(accepted)],
    ['claim 10 gifts', undone(claim)],
    ['claim and settle 10 gifts', undone(settle)],
    ["read a gift's timeline", (db) => readTimeline(db, sender.senderId, gifts[0] as GiftId)],
    ['see how far the queue has come', readQueueProgress],
    ['count what happened lately', (db) => countRecent(db, 600)],
    ['count what was delivered', (db) => countDelivered(db, new Date(Date.now() - 3_600_000), 1_000)],
    ['close leftovers', undone((trx) => closeLeftovers(trx, 200))],
    ['read the invariants of ends', readLifecycleInvariants],
  ];
}

function undone(work: (trx: Transaction<Database>) => Promise<unknown>): Work {
  return async (db) => {
    const done = db.transaction().execute(async (trx) => {
      await work(trx);
      throw new Undone();
    });
    await done.catch((error: unknown) => {
      if (!(error instanceof Undone)) throw error;
    });
  };
}

class Undone extends Error {}

/** Of a process on this machine, as Linux counts it: in hundredths of a second. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

if (import.meta.main) await run();
