import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { QueueReport } from '../../../services/api/queue-report.ts';
import { setStateGauges } from '../../../services/api/state-gauges.ts';
import { finishRun, startRun } from '../../../services/database/queries/reconciler-runs.ts';
import { newUuid } from '../../../services/domain/ids.ts';
import { createMetrics } from '../../../services/observability/metrics.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, draftGift, fundedSender } from '../../support/gifts.ts';

describe('gauges of what is the same for all processes', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
    await accept(database.db, [draftGift(await fundedSender(database.db))]);
  });
  afterAll(() => database.drop());

  const depth = { visible: 3, inFlight: 2, delayed: 1 };
  const reportOf = (known: QueueReport['queues'][number]['depth']): QueueReport => ({
    queues: [{ name: 'q', depth: known, deadLetters: { name: 'q-dlq', depth: { ...depth, visible: 7 } } }],
    gifts: { queued: 1, delivering: 0, oldestSeconds: 1 },
    outbox: { pending: 4, parked: 1, lagSeconds: 9 },
  });

  function scraped(report: () => QueueReport) {
    const metrics = createMetrics(undefined, { processMetrics: false });
    const collect = setStateGauges({
      db: database.db,
      metrics,
      report: async () => report(),
      clock: () => new Date('2026-03-01T12:00:00Z'),
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
  });

  test('a depth that became unknown is missing, not old', async () => {
    let known: typeof depth | null = depth;
    const scrape = scraped(() => reportOf(known));
    expect(await scrape()).toContain('{queue="q",state="visible"} 3');
    known = null;
    expect(await scrape()).not.toContain('queue="q",state="visible"');
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
