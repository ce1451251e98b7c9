import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { killRoles, startRole } from '../../support/role-process.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from './system.ts';

let system: System;

beforeAll(async () => {
  system = await createSystem();
}, 60_000);

afterEach(killRoles);

afterAll(() => system.end());

async function droppedLines(metricsUrl: string): Promise<number> {
  const text = await (await fetch(metricsUrl)).text();
  const line = /^largesse_log_records_dropped_total\{[^}]*sink="stream"[^}]*\} (\d+)$/m.exec(text);
  return Number(line?.[1] ?? 0);
}

describe('the log reader goes away: the handler of a failure must not use what failed', () => {
  test('API and consumer go on accepting and delivering, count what nobody read, and stop in order on SIGTERM', async () => {
    const [api, consumer] = await Promise.all([system.startApi(), system.startConsumer()]);
    api.stopReading();
    consumer.stopReading();
    const gifts = await acceptOverHttp(api, system.sender, [1, 2, 3, 4, 5].map(giftBody));
    await eventually(() => expect(system.mail.mails()).toHaveLength(5), { timeoutMs: 20_000 });
    await eventually(async () => {
      const { rows } = await system.database.pool.query('select state from gifts');
      expect(rows.map(({ state }) => state)).toEqual(gifts.map(() => 'delivered'));
    });
    // One line a gift and a few more: a line that is logged because a line was lost would be thousands by now.
    for (const { metricsUrl } of [api, consumer]) {
      await eventually(async () => expect(await droppedLines(metricsUrl)).toBeGreaterThan(0));
      expect(await droppedLines(metricsUrl)).toBeLessThan(100);
    }
    expect(await Promise.all([api.stop(), consumer.stop()])).toEqual([0, 0]);
  }, 60_000);

  test('a failure that nothing handles still ends the process with 1 when nobody reads what it prints', async () => {
    const child = failing(`
      await runMain('probe', async (lifecycle) => {
        lifecycle.configure({ log: createLogger({ service: 'probe' }), graceSeconds: 2 });
        process.stdin.once('end', () => { throw new Error('unexpected'); }).resume();
        return undefined;
      });`);
    const ended = once(child, 'exit');
    child.stdout.destroy();
    child.stderr.destroy();
    child.stdin.end();
    expect(await ended).toEqual([1, null]);
  });

  test('a failure that comes back from its own handling ends the process, and is told a few times only', async () => {
    const child = failing(`
      await runMain('probe', async (lifecycle) => {
        const again = () => process.nextTick(() => { throw new Error('from the handler'); });
        lifecycle.configure({ log: { info() {}, warn() {}, error() { again(); } }, graceSeconds: 2 });
        const storm = () => { process.nextTick(storm); throw new Error('storm'); };
        process.stdin.once('end', storm).resume();
        return undefined;
      });`);
    const ended = once(child, 'exit');
    child.stdin.end();
    expect(await ended).toEqual([1, null]);
  });

  test('the reconciler and admin finish what they began', async () => {
    const reconciler = startRole('reconciler', [], {});
    reconciler.stopReading();
    expect(await reconciler.ended).toBe(2);
    const migrate = startRole('admin', ['migrate'], { DATABASE_URL: system.database.url });
    migrate.stopReading();
    expect(await migrate.ended).toBe(0);
  });
});

/** A program of ours that fails in a way that no role should. */
function failing(main: string) {
  const imports = `
    import { runMain } from './services/runtime/run-main.ts';
    import { createLogger } from './services/observability/logger.ts';`;
  return spawn(process.execPath, ['--input-type=module', '--eval', imports + main], {
    cwd: new URL('../../..', import.meta.url).pathname,
    stdio: 'pipe',
  });
}
