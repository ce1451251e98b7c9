import { expect } from '@jest/globals';
import { claimToken, claimUrl } from '../../../services/domain/gifts/claim-token.ts';
import { fromUuid, type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { balances } from '../../support/gifts.ts';
import type { ReceivedMail } from '../../support/mail-text.ts';
import { type Story, storyOf } from '../consumer/world.ts';
import { type System, startingBalanceMinor } from './system.ts';

/** Waits until the system has come to rest: every gift delivered, nothing left in outbox or queue. */
export async function comeToRest(system: System, ids: GiftId[]): Promise<void> {
  await eventually(
    async () => {
      const { rows } = await system.database.pool.query(
        `select state, count(*)::integer from gifts where id = any ($1) group by state`,
        [ids.map((id) => toUuid(id))],
      );
      expect(rows).toEqual([{ state: 'delivered', count: ids.length }]);
      const outbox = await system.database.pool.query('select count(*)::integer as rows from outbox');
      expect(outbox.rows[0]?.rows).toBe(0);
      const { ready, delayed, inflight } = await system.emulator.inspect(system.queueName);
      expect(ready.length + delayed.length + inflight.length).toBe(0);
    },
    { timeoutMs: 40_000, intervalMs: 200 },
  );
}

/**
 * Every gift, every cent, every voucher. @returns for each gift the copies of its mail, all of which carry the same
 * Message-ID and the same link
 */
export async function checkBooks(system: System, ids: GiftId[]): Promise<Map<GiftId, ReceivedMail[]>> {
  const { database, emulator, queueName, sender } = system;
  const copies = new Map<GiftId, ReceivedMail[]>();
  let spentMinor = 0;
  for (const id of ids) {
    const story = await storyOf(database, id);
    spentMinor += story.gift.amount_minor;
    await expectOneStory(system, id, story);
    copies.set(id, copiesOf(system, id, story));
  }
  const books = await balances(database.db, sender);
  expect(books).toEqual({
    available: startingBalanceMinor - spentMinor,
    reserved: 0,
    outstanding: spentMinor,
    total: 0,
  });
  const { ready, inflight } = await emulator.inspect(`${queueName}-dlq`);
  expect(ready.length + inflight.length).toBe(0);
  return copies;
}

async function expectOneStory({ database }: System, id: GiftId, story: Story): Promise<void> {
  const { gift, vouchers, deliveries, attempts, transfers } = story;
  expect(gift).toMatchObject({ state: 'delivered', lease_until: null, dead_lettered_at: null });
  expect(vouchers).toMatchObject([
    { state: 'active', amount_minor: gift.amount_minor, balance_minor: gift.amount_minor },
  ]);
  expect(transfers).toEqual(['commit', 'reserve']);
  expect(deliveries).toMatchObject([{ purpose: 'gift', state: 'sent', attempts: attempts.length }]);
  const ended = (as: string) => attempts.filter(({ outcome }) => outcome === as).length;
  // Two mails in doubt are all that a delivery gets.
  expect(ended('sent')).toBe(ended('in_doubt') < 2 ? 1 : 0);
  expect(attempts.filter(({ outcome }) => outcome === 'started')).toEqual([]);
  const { rows } = await database.pool.query(
    `select action, count(*)::integer from audit_records where subject_id = $1
      and action in ('gift.accepted', 'gift.delivered') group by action order by action`,
    [toUuid(id)],
  );
  expect(rows).toEqual([
    { action: 'gift.accepted', count: 1 },
    { action: 'gift.delivered', count: 1 },
  ]);
}

function copiesOf({ mail, keyring }: System, id: GiftId, { deliveries }: Story): ReceivedMail[] {
  const messageId = `<${fromUuid('dlv', deliveries[0]?.id ?? '')}@mail.example.com>`;
  const link = claimUrl('https://gifts.example.com', claimToken(keyring, id, 1));
  const byId = mail.mails().filter((copy) => copy.messageId === messageId);
  const byLink = mail.mails().filter((copy) => copy.link === link);
  expect(byId.length).toBeGreaterThan(0);
  expect(byLink).toEqual(byId);
  return byId;
}
