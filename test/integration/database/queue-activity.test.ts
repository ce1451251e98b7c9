import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql, type Transaction } from 'kysely';
import { countRecent, readOldestAges } from '../../../services/database/queries/queue-activity.ts';
import type { Database } from '../../../services/database/schema.ts';
import { settleDeliveries } from '../../../services/domain/deliveries/settle-deliveries.ts';
import { type GiftId, newUuid, toUuid } from '../../../services/domain/ids.ts';
import { failure, openStage, type Stage } from '../domain/stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const since = (table: 'gifts' | 'deliveries', column: string, id: string, seconds: number) =>
  sql`update ${sql.table(table)} set ${sql.ref(column)} = now() - make_interval(secs => ${seconds})
    where id = ${id}`.execute(stage.db);

async function deadLetter(id: GiftId): Promise<void> {
  const { deliveryId, attempt } = await stage.claimOne(id);
  await stage.transaction((trx) =>
    settleDeliveries(trx, [{ deliveryId, attempt, outcome: 'dead_letter', failure }]),
  );
}

async function addDelivery(id: GiftId, purpose: 'resend' | 'reminder', state: string): Promise<string> {
  const deliveryId = newUuid();
  await sql`insert into deliveries (id, gift_id, purpose, channel, state)
    values (${deliveryId}, ${toUuid(id)}, ${purpose}, 'email', ${state})`.execute(stage.db);
  return deliveryId;
}

const roundedAges = async () => {
  const { waiting, deadLettered } = await readOldestAges(stage.db);
  return [waiting, deadLettered].map((seconds) => seconds && Math.round(seconds / 10) * 10);
};

test('ages are of what waits, and of what is dead-lettered; nothing that has ended counts', async () => {
  expect(await readOldestAges(stage.db)).toEqual({ waiting: null, deadLettered: null, late: 0 });
  const { id: queued } = await stage.acceptOne();
  await since('gifts', 'created_at', toUuid(queued), 100);
  expect(await roundedAges()).toEqual([100, null]);

  const { id: dead } = await stage.acceptOne();
  await deadLetter(dead);
  await since('gifts', 'created_at', toUuid(dead), 900);
  await since('gifts', 'dead_lettered_at', toUuid(dead), 800);
  expect(await roundedAges()).toEqual([100, 800]);
  // A dead letter is late all the same: somebody waits for it.
  expect(await readOldestAges(stage.db)).toMatchObject({ late: 1 });

  const { id: delivered } = await stage.acceptOne();
  await stage.sent(await stage.claimOne(delivered));
  await since('gifts', 'created_at', toUuid(delivered), 5_000);
  const resend = await addDelivery(delivered, 'resend', 'pending');
  await since('deliveries', 'created_at', resend, 300);
  // Its worker died: it is never sent again.
  const reminder = await addDelivery(delivered, 'reminder', 'sending');
  await since('deliveries', 'created_at', reminder, 7_000);
  expect(await roundedAges()).toEqual([300, 800]);
  await since('deliveries', 'dead_lettered_at', resend, 2_000);
  expect(await roundedAges()).toEqual([100, 2_000]);
});

test('being tried makes nobody young again, and who asked for a later time waits from then on', async () => {
  const { id: tried } = await stage.acceptOne();
  await since('gifts', 'created_at', toUuid(tried), 600);
  await stage.claimOne(tried);
  expect(await roundedAges()).toEqual([600, 2_000]);
  await since('gifts', 'deliver_at', toUuid(tried), 400);
  expect(await roundedAges()).toEqual([400, 2_000]);
});

test('counts are of the window', async () => {
  const before = await countRecent(stage.db, 300);
  const { id: delivered } = await stage.acceptOne();
  await stage.sent(await stage.claimOne(delivered));
  await deadLetter((await stage.acceptOne()).id);
  expect(await countRecent(stage.db, 300)).toEqual({
    accepted: before.accepted + 2,
    delivered: before.delivered + 1,
    deadLettered: before.deadLettered + 1,
  });
  expect(await countRecent(stage.db, -60)).toEqual({ accepted: 0, delivered: 0, deadLettered: 0 });
});

/** How often each of these tables was read whole by this connection. */
async function wholeReads(trx: Transaction<Database>): Promise<unknown[]> {
  const { rows } = await sql`
    select relname, seq_scan from pg_stat_xact_user_tables
    where relname in ('audit_records', 'gifts', 'deliveries') order by relname`.execute(trx);
  return rows;
}

test('however much has happened before, no table is read whole', async () => {
  await stage.db.transaction().execute(async (trx) => {
    await sql`set local session_replication_role = replica`.execute(trx);
    const old = sql`('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`;
    const many = sql`generate_series(1, 20000) as n`;
    await sql`insert into audit_records (id, action, actor_kind, subject_kind, subject_id)
      select ${old}, 'gift.accepted', 'api_key', 'gift', ${old} from ${many}`.execute(trx);
    await sql`insert into gifts (id, sender_id, funding_account_id, recipient_id, channel, state, amount_minor, currency,
        binding)
      select ${old}, ${old}, ${old}, ${old}, 'email', 'claimed', 100, 'EUR', 'bearer' from ${many}`.execute(
      trx,
    );
    await sql`insert into deliveries (id, gift_id, purpose, channel, state)
      select ${old}, ${old}, 'gift', 'email', 'sent' from ${many}`.execute(trx);
    await sql`analyze audit_records, gifts, deliveries`.execute(trx);
    const before = await wholeReads(trx);
    expect(before).toHaveLength(3);
    await countRecent(trx, 300);
    await readOldestAges(trx);
    expect(await wholeReads(trx)).toEqual(before);
  });
});
