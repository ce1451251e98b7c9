import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { closeLeftovers } from '../../../services/database/queries/close-leftovers.ts';
import { readLifecycleInvariants } from '../../../services/database/queries/lifecycle-invariants.ts';
import { failDeliveries } from '../../../services/database/queries/reconciler-gifts.ts';
import type { DeliveryState, GiftState } from '../../../services/database/states.ts';
import { claimDeliveries } from '../../../services/domain/deliveries/claim-deliveries.ts';
import { settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { expireGifts, failGifts } from '../../../services/domain/gifts/end-gifts.ts';
import { type DeliveryId, fromUuid, type GiftId, newUuid, toUuid } from '../../../services/domain/ids.ts';
import { cancel, keyring } from '../../support/gifts.ts';
import { openStage, type Stage, system } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const open: DeliveryState[] = ['pending', 'sending', 'deferred'];

/** A delivered gift with a resend in each open state, and with the reminder that a worker is just sending. */
async function deliveredGift(): Promise<GiftId> {
  const { id } = await stage.acceptOne();
  await stage.sent(await stage.claimOne(id));
  for (const state of open) await addDelivery(id, 'resend', state);
  await addDelivery(id, 'reminder', 'sending');
  return id;
}

/** With the attempt that a worker has begun, where it is being sent. */
async function addDelivery(
  giftId: GiftId,
  purpose: 'resend' | 'reminder',
  state: DeliveryState,
  leaseSeconds = 60,
): Promise<DeliveryId> {
  const id = newUuid();
  await sql`
    insert into deliveries (id, gift_id, purpose, channel, state, attempts, lease_until)
    values (${id}, ${toUuid(giftId)}, ${purpose}, 'email', ${state}, 1,
      case when ${state === 'sending'} then clock_timestamp() + make_interval(secs => ${leaseSeconds}) end)`.execute(
    stage.db,
  );
  if (state === 'sending') {
    await sql`insert into delivery_attempts (id, delivery_id, number) values (${newUuid()}, ${id}, 1)`.execute(
      stage.db,
    );
  }
  return fromUuid('dlv', id);
}

async function childrenOf(id: GiftId): Promise<{ deliveries: string[]; attempts: string[] }> {
  const rows = await sql<{ state: string; outcome: string | null; finished: boolean | null }>`
    select d.state, a.outcome, a.finished_at is not null as finished
    from deliveries d left join delivery_attempts a on a.delivery_id = d.id
    where d.gift_id = ${toUuid(id)}`.execute(stage.db);
  const distinct = (values: (string | null)[]) => [...new Set(values.filter((value) => value !== null))];
  return {
    deliveries: distinct(rows.rows.map(({ state }) => state)).toSorted(),
    attempts: distinct(
      rows.rows.map(({ outcome, finished }) => outcome && `${outcome}${finished ? '' : ' open'}`),
    ),
  };
}

async function broken(): Promise<Record<string, number>> {
  const rows = await readLifecycleInvariants(stage.db);
  return Object.fromEntries(rows.filter((row) => row.broken > 0).map((row) => [row.name, row.broken]));
}

const end = (id: GiftId, to: GiftState) =>
  sql`update gifts set state = ${to}, lease_until = null where id = ${toUuid(id)}`.execute(stage.db);

/** The statement of the release before this one, which ends what no worker is at, and leaves the rest. */
async function endAsBefore(id: GiftId, to: 'cancelled' | 'expired'): Promise<void> {
  const input = [
    { gift_id: toUuid(id), transfer_id: newUuid(), audit_id: newUuid(), class: null, code: null },
  ];
  await sql`
    with input as (
      select * from json_to_recordset(${JSON.stringify(input)}::json) as ending (
        gift_id uuid, transfer_id uuid, audit_id uuid, class text, code text)
    ), locked as materialized (
      select g.id, g.state, g.funding_account_id, g.currency, g.amount_minor, g.request_id from gifts g
      where g.id in (select gift_id from input) and g.state = any (${['queued', 'delivering', 'delivered']}::text[])
      order by g.id for no key update
    ), ended as (
      update gifts g set state = ${to}, lease_until = null, state_changed_at = clock_timestamp(),
        failure_class = coalesce(input.class, g.failure_class), failure_code = coalesce(input.code, g.failure_code)
      from locked join input on input.gift_id = locked.id where g.id = locked.id
    ), voided as (
      update vouchers v set state = ${to}, balance_minor = 0
      from locked where v.gift_id = locked.id
    ), unsent as (
      update deliveries d set state = 'failed', lease_until = null, state_changed_at = clock_timestamp()
      from locked where d.gift_id = locked.id and (d.state in ('pending', 'deferred')
        or (d.state = 'sending' and d.lease_until < clock_timestamp()))
      returning d.id
    ), superseded as (
      update delivery_attempts a set outcome = 'superseded', finished_at = clock_timestamp()
      from unsent where a.delivery_id = unsent.id and a.outcome = 'started'
    ), refunds as (
      select input.transfer_id, locked.*, case when locked.state = 'delivered' then 'return' else 'release' end as kind,
        (select a.id from ledger_accounts a where case when locked.state = 'delivered'
          then a.funding_account_id is null and a.kind = 'outstanding' and a.currency = locked.currency
          else a.funding_account_id = locked.funding_account_id and a.kind = 'reserved' end) as source_id,
        (select a.id from ledger_accounts a
          where a.funding_account_id = locked.funding_account_id and a.kind = 'available') as available_id
      from locked join input on input.gift_id = locked.id
    ), new_transfers as (
      insert into ledger_transfers (id, kind, gift_id) select transfer_id, kind, id from refunds
    ), new_entries as (
      insert into ledger_entries (transfer_id, account_id, currency, amount_minor)
      select transfer_id, source_id, currency, -amount_minor from refunds
      union all
      select transfer_id, available_id, currency, amount_minor from refunds
    ), new_audit_records as (
      insert into audit_records (id, action, actor_kind, actor_id, subject_kind, subject_id, request_id, data, created_at)
      select input.audit_id, ${`gift.${to}`}, 'schedule', null, 'gift', locked.id,
        coalesce(null, locked.request_id), jsonb_strip_nulls(jsonb_build_object('from', locked.state,
          'class', input.class, 'code', input.code)), clock_timestamp()
      from locked join input on input.gift_id = locked.id
    )
    select id, state as was from locked`.execute(stage.db);
}

describe('an end ends its children, in the same statement', () => {
  test('cancelled while a worker is sending: delivery and attempt are closed, and the worker is told', async () => {
    const { id } = await stage.acceptOne();
    const work = await stage.claimOne(id);
    await cancel(stage.db, id);
    expect(await childrenOf(id)).toEqual({ deliveries: ['suppressed'], attempts: ['superseded'] });
    expect(await stage.sent(work)).toBe('overtaken');
    expect(await childrenOf(id)).toEqual({ deliveries: ['suppressed'], attempts: ['superseded'] });
  });

  test.each<[string, (id: GiftId) => Promise<unknown>]>([
    ['cancelled', (id) => cancel(stage.db, id)],
    [
      'expired',
      async (id) => {
        await sql`update gifts set expires_at = clock_timestamp() where id = ${toUuid(id)}`.execute(stage.db);
        await stage.transaction((trx) => expireGifts(trx, 10));
      },
    ],
    ['claimed', (id) => end(id, 'claimed')],
    ['cancelled by the release before', (id) => endAsBefore(id, 'cancelled')],
    ['expired by the release before', (id) => endAsBefore(id, 'expired')],
  ])('%s: resends and the reminder in any state', async (_what, endIt) => {
    const id = await deliveredGift();
    await endIt(id);
    const { deliveries, attempts } = await childrenOf(id);
    expect(attempts).toEqual(['sent', 'superseded']);
    expect(deliveries).toContain('suppressed');
    for (const state of open) expect(deliveries).not.toContain(state);
  });

  test('failed: the delivery has failed too', async () => {
    const { id } = await stage.acceptOne();
    await stage.claimOne(id);
    await stage.transaction((trx) => failGifts(trx, [{ id, class: 'permanent', code: 'refused' }], system));
    expect(await childrenOf(id)).toEqual({ deliveries: ['failed'], attempts: ['superseded'] });
  });

  test('a resend that is given up ends the attempt of the worker that died with it', async () => {
    const { id } = await stage.acceptOne();
    await stage.sent(await stage.claimOne(id));
    const resend = await addDelivery(id, 'resend', 'sending', -60);
    await stage.transaction((trx) => failDeliveries(trx, [toUuid(resend)]));
    expect(await childrenOf(id)).toEqual({
      deliveries: ['failed', 'sent'],
      attempts: ['sent', 'superseded'],
    });
  });

  test('one that is queued again leaves its attempt interrupted, and not open', async () => {
    const { id } = await stage.acceptOne();
    await stage.claimOne(id, 0);
    await sql`update deliveries set state = 'pending', lease_until = null where gift_id = ${toUuid(id)}`.execute(
      stage.db,
    );
    expect((await childrenOf(id)).attempts).toEqual(['interrupted']);
  });

  test('ended just when a worker claims its resend: whichever comes first, nothing is left open', async () => {
    const ids = await Promise.all(Array.from({ length: 12 }, () => stage.acceptOne()));
    for (const { id } of ids) await stage.sent(await stage.claimOne(id));
    const resends = await Promise.all(ids.map(({ id }) => addDelivery(id, 'resend', 'pending')));
    const claims = resends.map((deliveryId, index) =>
      stage.transaction((trx) =>
        claimDeliveries(trx, { keyring, leaseSeconds: 60 }, [
          { deliveryId, messageId: `m-${index}`, receiveCount: 1 },
        ]),
      ),
    );
    const ends = ids.map(({ id }) => cancel(stage.db, id));
    await Promise.all([...claims, ...ends]);
    expect(await broken()).toEqual({});
  });

  test('after all of it the invariants find nothing', async () => {
    expect(await broken()).toEqual({});
  });
});

describe('what was left open all the same', () => {
  test('a reminder whose worker died is closed, as nobody may send it again', async () => {
    const { id } = await stage.acceptOne();
    await stage.sent(await stage.claimOne(id));
    await addDelivery(id, 'reminder', 'sending', -7_200);
    expect(await broken()).toEqual({ reminders_have_a_worker: 1 });
    expect(await stage.transaction((trx) => closeLeftovers(trx, 100))).toBe(1);
    expect(await childrenOf(id)).toEqual({
      deliveries: ['failed', 'sent'],
      attempts: ['sent', 'interrupted'],
    });
    expect(await broken()).toEqual({});
  });

  test.each([
    ['has not come', 'deferred'],
    ['has lost its worker, and its message', 'sending'],
  ] as const)('the repeat of a mail in doubt that %s for two days is closed', async (_what, state) => {
    const { id } = await stage.acceptOne();
    const { deliveryId, attempt } = await stage.claimOne(id);
    const failure = { class: 'transient', code: 'mail_timed_out', reason: 'silent' } as const;
    await settleDeliveries(stage.db, [
      { deliveryId, attempt, outcome: 'in_doubt', failure, repeatSeconds: 900 },
    ]);
    const leaseUntil = sql`case when ${state} = 'sending' then clock_timestamp() - interval '2 days' end`;
    await sql`update deliveries set state = ${state}, lease_until = ${leaseUntil},
      state_changed_at = clock_timestamp() - interval '3 days' where gift_id = ${toUuid(id)}`.execute(
      stage.db,
    );
    expect(await stage.transaction((trx) => closeLeftovers(trx, 100))).toBe(1);
    expect((await childrenOf(id)).deliveries).toEqual(['suppressed']);
  });

  test('one that a worker is at is left to it', async () => {
    const { id } = await stage.acceptOne();
    await stage.sent(await stage.claimOne(id));
    await addDelivery(id, 'reminder', 'sending');
    expect(await stage.transaction((trx) => closeLeftovers(trx, 100))).toBe(0);
    await cancel(stage.db, id);
  });

  test('the invariants find what an end has left open, and the repair closes it, step by step', async () => {
    const ids = [await deliveredGift(), await deliveredGift()];
    // As rows are that were written before there was a trigger.
    await sql`alter table gifts disable trigger gifts_end_deliveries`.execute(stage.db);
    for (const id of ids) await end(id, 'claimed');
    await sql`alter table gifts enable trigger gifts_end_deliveries`.execute(stage.db);
    await sql`alter table deliveries disable trigger deliveries_end_attempts`.execute(stage.db);
    const { id } = await stage.acceptOne();
    await stage.claimOne(id, 0);
    await sql`update deliveries set state = 'pending', lease_until = null where gift_id = ${toUuid(id)}`.execute(
      stage.db,
    );
    await sql`alter table deliveries enable trigger deliveries_end_attempts`.execute(stage.db);
    expect(await broken()).toEqual({ ended_gifts_send_nothing: 8, attempts_end_with_deliveries: 1 });
    const closed: number[] = [];
    do closed.push(await stage.transaction<number>((trx) => closeLeftovers(trx, 3)));
    while (closed.at(-1) !== 0);
    expect(closed.length).toBeGreaterThan(3);
    expect(await broken()).toEqual({});
    for (const gift of ids) {
      expect(await childrenOf(gift)).toEqual({
        deliveries: ['sent', 'suppressed'],
        attempts: ['sent', 'superseded'],
      });
    }
  });
});
