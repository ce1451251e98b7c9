import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { sql } from 'kysely';
import { decide } from '../../../services/consumer/verdict.ts';
import { countRecent } from '../../../services/database/queries/queue-activity.ts';
import { settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { claimVoucher } from '../../../services/domain/gifts/claim-voucher.ts';
import { requeueStranded } from '../../../services/domain/gifts/queue-gifts.ts';
import { readTimeline } from '../../../services/domain/gifts/timeline.ts';
import { toUuid } from '../../../services/domain/ids.ts';
import { cancel, keyring, outbox } from '../../support/gifts.ts';
import { offBy } from '../../support/wrong-clock.ts';
import { failure, openStage, type Stage } from './stage.ts';

const patientPolicy = {
  ...{ maxRetryCount: 5, baseMs: 1, capMs: 900_000, forgives: true },
  ...{ inDoubtRepeats: 1, inDoubtPauseSeconds: 900, random: () => 0 },
};

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterEach(() => {
  jest.useRealTimers();
});
afterAll(() => stage.close());

const secondsFromNow = async (column: string, table: string, where: ReturnType<typeof sql>) => {
  const { rows } = await sql<{ seconds: number }>`
    select extract(epoch from ${sql.ref(column)} - clock_timestamp())::float8 as seconds
    from ${sql.table(table)} where ${where}`.execute(stage.db);
  return rows[0]?.seconds ?? Number.NaN;
};

describe.each([-10, 10])('one clock, with a pod %i minutes off', (minutes) => {
  test('the next attempt is due when the database says so, also where the clock is set between verdict and record', async () => {
    const { id } = await stage.acceptOne();
    const { deliveryId } = await stage.claimOne(id);
    const { settlement } = decide(
      { deliveryId, attempt: 1, attemptsCounted: 1, purpose: 'gift', inDoubt: 0, ageSeconds: 0 },
      {
        kind: 'failed',
        failure: { ...failure, owner: 'item', reach: 'one', retryAfterMs: 60_000 },
        inDoubt: false,
        mailed: true,
      },
      patientPolicy,
      { pausedForMs: null },
    );
    offBy(minutes);
    await stage.transaction((trx) => settleDeliveries(trx, [settlement]));
    const where = sql`delivery_id = ${toUuid(deliveryId)}`;
    const due = await secondsFromNow('next_attempt_at', 'delivery_attempts', where);
    expect(Math.round(due / 10)).toBe(6);
  });

  test('a claim is dated by the database, and its gift is not in the past or future of its story', async () => {
    const { id, sender } = await stage.acceptOne();
    await stage.sent(await stage.claimOne(id));
    offBy(minutes);
    const request = { token: claimToken(keyring, id, 1), idempotencyKey: 'k', requestId: null };
    const claim = await claimVoucher(stage.db, { keyring }, request);
    expect(await claimVoucher(stage.db, { keyring }, request)).toMatchObject({
      createdAt: claim.createdAt,
      replayed: true,
    });
    expect(Math.abs(await secondsFromNow('created_at', 'claims', sql`id is not null`))).toBeLessThan(60);
    const story = (await readTimeline(stage.db, sender.senderId, id)).map((entry) =>
      entry.kind === 'event' ? entry.record.action : entry.kind,
    );
    expect(story).toEqual(['gift.accepted', 'attempt', 'delivery.sent', 'gift.delivered', 'gift.claimed']);
    await sql`delete from claims`.execute(stage.db);
  });

  test('the sweep takes no gift for old or young by the clock of whoever changed it last', async () => {
    const age = { stuckSeconds: 300, deadLetterRetentionSeconds: 86_400 };
    offBy(minutes);
    const { id } = await stage.acceptOne();
    const { deliveryId } = await stage.claimOne(id);
    await stage.transaction((trx) =>
      settleDeliveries(trx, [{ deliveryId, attempt: 1, outcome: 'retry', failure, retrySeconds: 1 }]),
    );
    const sweep = () =>
      stage.transaction<{ gifts: number }>((trx) => requeueStranded(trx, { outbox }, age, 10));
    expect(await sweep()).toMatchObject({ gifts: 0 });
    await sql`update gifts set state_changed_at = clock_timestamp() - interval '6 minutes'
      where id = ${toUuid(id)}`.execute(stage.db);
    await sql`update delivery_attempts set next_attempt_at = clock_timestamp() - interval '6 minutes'
      where delivery_id = ${toUuid(deliveryId)}`.execute(stage.db);
    expect(await sweep()).toMatchObject({ gifts: 1 });
    await cancel(stage.db, id);
  });

  test('rates are of the last minutes, whatever ids say', async () => {
    const before = await countRecent(stage.db, 300);
    offBy(minutes);
    const { id } = await stage.acceptOne();
    await stage.sent(await stage.claimOne(id));
    expect((await countRecent(stage.db, 300)).delivered).toBe(before.delivered + 1);
  });
});
