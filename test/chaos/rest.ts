import { setTimeout as wait } from 'node:timers/promises';
import type pg from 'pg';

/** How much is still under way. */
const underWay = `select
  (select count(*)::integer from gifts where state in ('queued', 'delivering', 'held', 'scheduled')) as gifts,
  (select count(*)::integer from deliveries where state in ('pending', 'sending', 'deferred')) as deliveries,
  (select count(*)::integer from outbox) as outbox`;

/** Waits until nothing is under way any more, or until the patience is over: the check then tells what is left. */
export async function comeToRest(
  pool: pg.Pool,
  patienceMs: number,
  say: (line: string) => void,
): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  let last = '';
  while (performance.now() < deadline) {
    const { rows } = await pool.query(underWay);
    const { gifts, deliveries, outbox } = rows[0] as { gifts: number; deliveries: number; outbox: number };
    if (gifts + deliveries + outbox === 0) return true;
    const line = `under way: ${gifts} gifts, ${deliveries} deliveries, ${outbox} outbox rows`;
    if (line !== last) say(line);
    last = line;
    await wait(1_000);
  }
  return false;
}
