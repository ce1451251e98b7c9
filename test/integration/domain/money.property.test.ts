import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sql } from 'kysely';
import { claimGifts } from '../../../services/domain/deliveries/claim-gifts.ts';
import type { DeliveryWork } from '../../../services/domain/deliveries/delivery-work.ts';
import { type Settlement, settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { expireGifts, failGifts } from '../../../services/domain/gifts/end-gifts.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  accept,
  balances,
  cancel,
  draftGift,
  type FundedSender,
  fundedSender,
  keyring,
} from '../../support/gifts.ts';

type Step =
  | { kind: 'accept'; amounts: number[] }
  | { kind: 'claim'; picks: number[]; lease: number }
  | { kind: 'settle'; pick: number; outcome: Settlement['outcome'] }
  | { kind: 'cancel' | 'fail' | 'expire'; picks: number[] };

const picks = fc.array(fc.nat(30), { minLength: 1, maxLength: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('accept'),
    amounts: fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('claim'), picks, lease: fc.constantFrom(0, 60) }),
  fc.record({
    kind: fc.constant('settle'),
    pick: fc.nat(30),
    outcome: fc.constantFrom('sent', 'retry', 'dead_letter'),
  }),
  fc.record({ kind: fc.constantFrom('cancel', 'fail', 'expire'), picks }),
) as fc.Arbitrary<Step>;

const start = 10_000;
const failure = { class: 'transient', code: 'mail_unreachable', reason: 'no answer' } as const;
const actor = { kind: 'reconciler', id: null, requestId: null } as const;

describe('the ledger, whatever happens in whatever order', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  test('sums to zero, matches the gifts, and never has a second voucher or movement', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const sender = await fundedSender(database.db, start);
        const world = { sender, gifts: [] as GiftId[], works: [] as DeliveryWork[] };
        for (const one of steps) await take(world, one);
        await check(sender);
      }),
      { numRuns: 25 },
    );
  }, 120_000);

  type World = { sender: FundedSender; gifts: GiftId[]; works: DeliveryWork[] };

  async function take(world: World, one: Step): Promise<void> {
    const { db } = database;
    const chosen = (numbers: number[]) => {
      const ids = numbers.flatMap((number) => world.gifts[number % Math.max(1, world.gifts.length)] ?? []);
      return [...new Set(ids)];
    };
    switch (one.kind) {
      case 'accept': {
        const drafts = one.amounts.map((amount) =>
          draftGift(world.sender, { value: { amount, currency: 'EUR' } }),
        );
        const accepted = await accept(db, drafts).catch((error: { code?: string }) => {
          expect(error.code).toBe('funding_insufficient');
          return { gifts: [] };
        });
        world.gifts.push(...accepted.gifts.map((gift) => gift.id));
        return;
      }
      case 'claim': {
        const requests = chosen(one.picks).map((giftId) => ({ giftId, messageId: 'm', receiveCount: 1 }));
        if (requests.length === 0) return;
        const deps = { keyring, leaseSeconds: one.lease };
        const results = await db.transaction().execute((trx) => claimGifts(trx, deps, requests));
        for (const result of results) if (result.kind === 'claimed') world.works.push(result.work);
        return;
      }
      case 'settle': {
        const work = world.works[one.pick % Math.max(1, world.works.length)];
        if (!work) return;
        const base = { deliveryId: work.deliveryId, attempt: work.attempt };
        const settlement: Settlement =
          one.outcome === 'sent'
            ? { ...base, outcome: 'sent' }
            : one.outcome === 'retry'
              ? { ...base, outcome: 'retry', failure, retrySeconds: 0 }
              : { ...base, outcome: 'dead_letter', failure };
        await db.transaction().execute((trx) => settleDeliveries(trx, [settlement]));
        return;
      }
      case 'cancel':
        for (const id of new Set(chosen(one.picks))) await cancel(db, id, actor);
        return;
      case 'fail':
        await db.transaction().execute((trx) =>
          failGifts(
            trx,
            chosen(one.picks).map((id) => ({ ...failure, id })),
            actor,
          ),
        );
        return;
      case 'expire': {
        const ids = chosen(one.picks).map(toUuid);
        await sql`update gifts set expires_at = now() where id = any (${ids}::uuid[])`.execute(db);
        await db.transaction().execute((trx) => expireGifts(trx, 10));
        return;
      }
    }
  }

  async function check(sender: FundedSender): Promise<void> {
    const { rows } = await sql<{
      reserved: number;
      issued: number;
      vouchers: number;
      issued_vouchers: number;
    }>`
      select coalesce(sum(g.amount_minor) filter (where g.state in ('queued', 'delivering')), 0) as reserved,
        coalesce(sum(g.amount_minor) filter (where g.state = 'delivered'), 0) as issued,
        coalesce(sum(v.balance_minor) filter (where g.state = 'delivered'), 0) as issued_vouchers,
        count(v.id) filter (where v.state = 'active' and g.state in ('cancelled', 'failed', 'expired')) as vouchers
      from gifts g left join vouchers v on v.gift_id = g.id
      where g.sender_id = ${toUuid(sender.senderId)}`.execute(database.db);
    const [sums] = rows;
    const money = await balances(database.db, sender);
    expect(money.total).toBe(0);
    expect(money.reserved).toBe(sums?.reserved);
    expect(money.available).toBe(start - (sums?.reserved ?? 0) - (sums?.issued ?? 0));
    expect(sums?.issued_vouchers).toBe(sums?.issued);
    expect(sums?.vouchers).toBe(0);
  }
});
