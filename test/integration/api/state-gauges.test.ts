import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createLedgerCheck } from '../../../services/api/ledger-check.ts';
import type { QueueReport } from '../../../services/api/queue-report.ts';
import { setStateGauges } from '../../../services/api/state-gauges.ts';
import { createDatabase } from '../../../services/database/client.ts';
import { markVerdictsApplied, recordVerdicts } from '../../../services/database/queries/dead-letters.ts';
import { finishRun, startRun } from '../../../services/database/queries/reconciler-runs.ts';
import { newUuid } from '../../../services/domain/ids.ts';
import { createMetrics } from '../../../services/observability/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';

describe('gauges of what is the same for all processes', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
    await accept(database.db, [draftGift(await fundedSender(database.db))]);
  });
  afterAll(() => database.drop());

  let now = Date.parse('2026-03-01T12:00:00Z');
  const depth = { visible: 3, inFlight: 2, delayed: 1 };
  const reportOf = (known: QueueReport['queues'][number]['depth']): QueueReport => ({
    queues: [
      {
        name: 'q',
        depth: known,
        capabilities: { message_group_ids: true, trace_headers: null },
        limitations: [],
        refusal: null,
        deadLetters: { name: 'q-dlq', depth: { ...depth, visible: 7 } },
      },
    ],
    gifts: { queued: 1, delivering: 0, oldestSeconds: 1 },
    outbox: { pending: 4, parked: 1, lagSeconds: 9 },
  });

  function scraped(report: () => QueueReport, db = database.db) {
    const metrics = createMetrics(undefined, { processMetrics: false });
    const collect = setStateGauges({
      db: database.db,
      metrics,
      report: async () => report(),
      checkLedger: createLedgerCheck({ db, metrics }),
      clock: () => new Date(now),
    });
    metrics.onScrape(collect);
    return async () => (await metrics.render()).body;
  }

  test('depths, outbox and ledger are read when they are asked for', async () => {
    const body = await scraped(() => reportOf(depth))();
    expect(body).toContain('largesse_queue_depth_messages{queue="q",state="in_flight"} 2');
    expect(body).toContain('largesse_queue_depth_messages{queue="q-dlq",state="visible"} 7');
    expect(body).toContain('largesse_outbox_rows{state="parked"} 1');
    expect(body).toContain('largesse_outbox_lag_seconds 9');
    expect(body).toContain('largesse_ledger_invariant_ok{invariant="sum_is_zero"} 1');
    expect(body).not.toMatch(/largesse_ledger_invariant_ok\{[^}]*\} 0/);
    expect(body).toMatch(/largesse_partitions_ahead_days\{table="audit_records"\} (89|9\d|1\d\d)/);
    expect(body).toContain('largesse_rows_without_month{table="delivery_attempts"} 0');
  });

  test('how long the oldest message of a queue has waited is there for who scales by it, and 0 when none does', async () => {
    const body = await scraped(() => reportOf(depth))();
    const seconds = (queue: string) =>
      Number(new RegExp(`largesse_oldest_message_seconds\\{queue="${queue}"\\} (\\S+)`).exec(body)?.[1]);
    expect(seconds('q')).toBeGreaterThan(0);
    expect(seconds('q-dlq')).toBe(0);
  });

  test('gifts that are late are counted: from five minutes after they were due, and while they are under way', async () => {
    const late = async () =>
      Number(/^largesse_gifts_late (\d+)$/m.exec(await scraped(() => reportOf(depth))())?.[1]);
    const due = (ago: string) =>
      database.pool.query(`update gifts set deliver_at = now() - $1::interval where state = 'queued'`, [ago]);
    expect(await late()).toBe(0);
    await database.pool.query(`update gifts set created_at = now() - interval '1 day'`);
    expect(await late()).toBe(1);
    await due('4 minutes 50 seconds');
    expect(await late()).toBe(0);
    await due('5 minutes 10 seconds');
    expect(await late()).toBe(1);
    await database.pool.query(`update gifts set dead_lettered_at = now() where state = 'queued'`);
    expect(await late()).toBe(1);
  });

  test('a ledger that takes long is read once, not by each scrape', async () => {
    const blocker = await database.pool.connect();
    await blocker.query('begin');
    await blocker.query('lock table ledger_entries in access exclusive mode');
    const scrape = scraped(() => reportOf(depth));
    const scrapes = [scrape(), scrape(), scrape()];
    const reading = async () => {
      const { rows } = await database.pool.query(
        `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows.length;
    };
    await eventually(async () => expect(await reading()).toBe(1));
    await scrape();
    expect(await reading()).toBe(1);
    await blocker.query('rollback');
    blocker.release();
    expect((await Promise.all(scrapes))[0]).toContain(
      'largesse_ledger_invariant_ok{invariant="sum_is_zero"} 1',
    );
  });

  test('a ledger that could not be read is missing, and is tried again after a while, not at the next scrape', async () => {
    const broken = createDatabase({
      connectionString: database.url,
      poolMax: 1,
      applicationName: 'largesse-test',
    });
    let asked = 0;
    broken.pool.on('acquire', () => {
      asked += 1;
    });
    await database.pool.query('alter table claims rename to claims_away');
    const scrape = scraped(() => reportOf(depth), broken.db);
    expect(await scrape()).not.toContain('largesse_ledger_invariant_ok{');
    expect(await scrape()).not.toContain('largesse_ledger_invariant_ok{');
    expect(asked).toBe(1);
    await database.pool.query('alter table claims_away rename to claims');
    now += 300_000;
    expect(await scrape()).toContain('largesse_ledger_invariant_ok{invariant="sum_is_zero"} 1');
    await broken.db.destroy();
  });

  test('a depth that became unknown is missing, not old', async () => {
    let known: typeof depth | null = depth;
    const scrape = scraped(() => reportOf(known));
    expect(await scrape()).toContain('{queue="q",state="visible"} 3');
    known = null;
    expect(await scrape()).not.toContain('queue="q",state="visible"');
  });

  test('runs of the reconciler are kept for 90 days', async () => {
    const day = 86_400_000;
    const ago = async (days: number) => {
      const id = newUuid();
      await startRun(database.db, {
        id,
        queue: 'old',
        dryRun: false,
        startedAt: new Date(Date.now() - days * day),
      });
      return id;
    };
    await ago(91);
    const kept = [await ago(89), await ago(0)];
    const runs = database.db.selectFrom('reconciler_runs').select('id').where('queue', '=', 'old');
    expect(await runs.orderBy('started_at').execute()).toEqual(kept.map((id) => ({ id })));
  });

  test('redrives are counted as they are applied, each once, and no scrape counts letters', async () => {
    const scope = { queue: 'letters', runId: newUuid(), seenAt: new Date() };
    const letter = (message_id: string, verdict: 'redrive' | 'discard') => ({
      ...{ id: newUuid(), message_id, message_key: message_id, gift_id: null, class: 'transient' as const },
      ...{
        reason: 'r',
        receive_count: 1,
        sent_at: new Date().toISOString(),
        verdict,
        rule: null,
        body: null,
      },
      ...{ attributes: null, archived: false, pardoned: false },
    });
    const letters = [letter('a', 'redrive'), letter('b', 'redrive'), letter('c', 'discard')];
    await database.db.transaction().execute((trx) => recordVerdicts(trx, letters, scope));
    const scrape = scraped(() => reportOf(depth));
    expect(await scrape()).not.toContain('largesse_messages_redriven_total{queue="letters"}');
    for (let time = 0; time < 2; time += 1) {
      await markVerdictsApplied(database.db, 'letters', ['a', 'b', 'c'], new Date());
      expect(await scrape()).toContain('largesse_messages_redriven_total{queue="letters"} 2');
    }
  });

  test("the reconciler's last real run is shown; dry runs and those that died are not", async () => {
    const run = async (counts: Record<string, number>, dryRun: boolean) => {
      const [id, startedAt] = [newUuid(), new Date('2026-03-01T11:59:00Z')];
      await startRun(database.db, { id, queue: 'gifts', dryRun, startedAt });
      const finishedAt = new Date('2026-03-01T11:59:05Z');
      await finishRun(database.db, { id, outcome: 'converged', counts, finishedAt });
    };
    await run({ scanned: 5, redriven: 4, circuit_state: 1, circuit_since: 1 }, false);
    await run({ scanned: 99, redriven: 99, circuit_state: 0, circuit_since: 1 }, true);
    const body = await scraped(() => reportOf(depth))();
    expect(body).toContain('largesse_reconciler_last_run_messages{queue="gifts",result="redriven"} 4');
    expect(body).toContain('largesse_reconciler_last_run_seconds{queue="gifts"} 5');
    expect(body).toContain('largesse_circuit_breaker_open{queue="gifts"} 1');
    expect(body).not.toContain('circuit_since');
  });
});
