import type { Kysely } from 'kysely';
import { countDelivered, countQuarantined } from '../database/queries/reconciler-quarantine.ts';
import { lastRunCounts } from '../database/queries/reconciler-runs.ts';
import type { Database } from '../database/schema.ts';
import type { Policy } from './policy.ts';
import {
  deliveriesThatExcuse,
  judgeQuarantine,
  type QuarantineBreaker,
  quarantinesSince,
  untriedQuarantine,
} from './quarantine-breaker.ts';

/** The quarantine breaker of a queue: as the last run left it, then as the evidence has it. */
export async function watchQuarantine(
  db: Kysely<Database>,
  policy: Policy,
  seen: { candidateKeys: ReadonlySet<string>; scanComplete: boolean; now: Date; released: boolean },
): Promise<QuarantineBreaker> {
  const { candidateKeys, scanComplete, now, released } = seen;
  if (released) return { state: 'closed', since: now };
  const left = readBreaker(await lastRunCounts(db, policy.queue));
  const limits = policy.quarantineBreaker;
  const since = quarantinesSince(left, limits, now);
  const candidates = candidateKeys.size;
  const dead = candidates === 0 ? 0 : candidates + (await countQuarantined(db, policy.queue, since));
  const wanted = dead < limits.minSamples ? 0 : deliveriesThatExcuse(dead, limits);
  const delivered = wanted === 0 ? 0 : await countDelivered(db, since, wanted);
  return judgeQuarantine(left, { dead, candidates, delivered }, limits, { now, scanComplete });
}

/** The breaker among the counts of a run, where the next run finds it. */
export function quarantineCounts({ state, since }: QuarantineBreaker): Record<string, number> {
  return {
    quarantine_state: state === 'tripped' ? 1 : 0,
    quarantine_since: Math.ceil(since.getTime() / 1_000),
  };
}

function readBreaker(counts: Record<string, number> | null): QuarantineBreaker {
  if (counts?.['quarantine_since'] === undefined) return untriedQuarantine;
  const since = new Date(counts['quarantine_since'] * 1_000);
  return { state: counts['quarantine_state'] === 1 ? 'tripped' : 'closed', since };
}
