import { expect, test } from '@jest/globals';
import type { Logger } from '../../../services/observability/logger.ts';
import { logRun } from '../../../services/reconciler/log-run.ts';
import { refusal } from '../../../services/reconciler/refusals.ts';
import type { RunReport } from '../../../services/reconciler/run-report.ts';
import { statusAfter } from '../../../services/reconciler/status.ts';
import { standardPolicy } from './letters.ts';

const since = new Date(Date.UTC(2026, 10, 21));

function report(changes: { open?: boolean; gifts?: number; deliveries?: number } = {}): RunReport {
  const run = { id: 'run', policy: standardPolicy(), dryRun: false, startedAt: since };
  const quiet = refusal(run, { outcome: 'converged', reason: '' });
  return {
    ...quiet,
    circuit: { state: changes.open ? 'open' : 'closed', since },
    counts: {
      ...quiet.counts,
      requeued_gifts: changes.gifts ?? 0,
      requeued_deliveries: changes.deliveries ?? 0,
    },
  };
}

async function alarmsOf(run: RunReport): Promise<Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = [];
  const write = (_message: string, fields: Record<string, unknown> = {}) => void lines.push(fields);
  const log: Logger = {
    ...{ debug: write, info: write, warn: write, error: write },
    child: () => log,
    close: () => Promise.resolve(),
  };
  await logRun(log, run, statusAfter(null, run, null), 'info');
  expect(lines.map(({ event }) => event)).toEqual(
    expect.arrayContaining(['reconciler_counts', 'reconciler_run']),
  );
  return lines.filter(({ marker }) => marker === '[MONITOR]');
}

test('a run in which nothing is wrong alarms nobody', async () => {
  expect(await alarmsOf(report())).toEqual([]);
});

test('gifts whose messages had vanished are told as what the safety net corrected', async () => {
  expect(await alarmsOf(report({ gifts: 2 }))).toMatchObject([
    { event: 'corrected_by_safety_net', gifts: 2, deliveries: 0 },
  ]);
  expect(await alarmsOf(report({ deliveries: 1 }))).toMatchObject([{ event: 'corrected_by_safety_net' }]);
});

test('P42: an open circuit is told in every run', async () => {
  expect(await alarmsOf(report({ open: true }))).toMatchObject([{ event: 'circuit_open', since }]);
});
