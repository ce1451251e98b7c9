import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createDatabase } from '../../../services/database/client.ts';
import type { IdempotencyClaim } from '../../../services/database/queries/idempotency.ts';
import {
  acceptClaimed,
  type ClaimedAccept,
  claimedAccept,
} from '../../../services/domain/gifts/accept-claimed.ts';
import { type GiftDraft, prepareGift } from '../../../services/domain/gifts/prepare-gift.ts';
import { newUuid, toUuid } from '../../../services/domain/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  balances,
  draftGift,
  type FundedSender,
  fundedSender,
  keyring,
  outbox,
} from '../../support/gifts.ts';

let database: TestDatabase;
let rich: FundedSender;
beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  rich = await fundedSender(database.db, 100_000);
});
afterAll(() => database.drop());

function ask(
  sender: FundedSender,
  { draft = {}, claim = {} }: { draft?: Partial<GiftDraft>; claim?: Partial<IdempotencyClaim> } = {},
): ClaimedAccept {
  const prepared = prepareGift({ keyring }, draftGift(sender, draft), new Date());
  return claimedAccept({ outbox }, prepared, {
    scopeId: toUuid(sender.senderId),
    key: newUuid(),
    fingerprint: Buffer.alloc(32, 1),
    status: 202,
    body: { id: prepared.gift.id },
    location: `/v1/gifts/${prepared.gift.id}`,
    ...claim,
  });
}

const accept = (accepts: ClaimedAccept[]) => acceptClaimed(database.db, { outbox }, accepts);

/** What became of each, as one word. */
const words = async (accepts: ClaimedAccept[]) =>
  (await accept(accepts)).map((outcome) =>
    outcome instanceof Error ? (outcome as Error & { code?: string }).code : outcome.kind,
  );

async function stored(accepts: ClaimedAccept[]): Promise<number> {
  const ids = accepts.map(({ insert }) => insert.id);
  return (await database.db.selectFrom('gifts').select('id').where('id', 'in', ids).execute()).length;
}

test('gifts of several senders are accepted together, each with its own outbox row', async () => {
  const other = await fundedSender(database.db, 100_000);
  const accepts = [ask(rich), ask(other), ask(rich)];
  const outcomes = await accept(accepts);
  const bodies = outcomes.map((outcome) => ('outboxRow' in outcome ? outcome.outboxRow?.body : outcome));
  expect(bodies).toEqual(accepts.map(({ insert }) => insert.outbox?.body));
  expect((await balances(database.db, rich)).reserved).toBe(5_000);
  expect((await balances(database.db, other)).reserved).toBe(2_500);
});

test('one that the database refuses does not take the others with it, and leaves nothing behind', async () => {
  const poor = await fundedSender(database.db, 100);
  const taken = ask(rich, { draft: { externalId: 'taken' } });
  expect(await words([taken])).toEqual(['accepted']);
  const accepts = [
    ask(rich),
    ask(poor),
    ask(rich, { draft: { externalId: 'taken' } }),
    ask(rich, { draft: { value: { amount: 5, currency: 'USD' } } }),
    ask(rich),
  ];
  expect(await words(accepts)).toEqual([
    'accepted',
    'funding_insufficient',
    'external_id_taken',
    'funding_account_missing',
    'accepted',
  ]);
  expect(await stored(accepts)).toBe(2);
  const keys = await database.db
    .selectFrom('idempotency_keys')
    .select('key')
    .where(
      'key',
      'in',
      accepts.map(({ claim }) => claim.key),
    )
    .execute();
  expect(keys).toHaveLength(2);
  expect((await balances(database.db, poor)).available).toBe(100);
});

test('the gifts of a refused statement are tried again on its own connection, where what it held is free', async () => {
  const poor = await fundedSender(database.db, 100);
  let connections = 0;
  const count = () => {
    connections += 1;
  };
  database.pool.on('acquire', count);
  expect(await words([ask(poor), ask(rich), ask(poor)])).toEqual([
    'funding_insufficient',
    'accepted',
    'funding_insufficient',
  ]);
  database.pool.off('acquire', count);
  expect(connections).toBe(1);
});

test('no answer in time is about none of the gifts: they are not tried one by one', async () => {
  const impatient = createDatabase({
    connectionString: database.url,
    poolMax: 1,
    applicationName: 'largesse-test',
    statementTimeoutMs: 200,
  });
  const blocker = await database.pool.connect();
  await blocker.query('begin');
  await blocker.query('lock table gifts in access exclusive mode');
  const accepts = [ask(rich), ask(rich), ask(rich)];
  await expect(acceptClaimed(impatient.db, { outbox }, accepts)).rejects.toMatchObject({ code: '57014' });
  await blocker.query('rollback');
  blocker.release();
  expect(await words([ask(rich)])).toEqual(['accepted']);
  await impatient.db.destroy();
});

test('the same key twice in one statement makes one gift: the second is a replay, or a mismatch', async () => {
  const claim = { key: 'twice' };
  const accepts = [
    ask(rich, { claim }),
    ask(rich, { claim }),
    ask(rich, { claim: { ...claim, fingerprint: Buffer.alloc(32, 2) } }),
  ];
  const outcomes = await accept(accepts);
  expect(outcomes.map((outcome) => ('kind' in outcome ? outcome.kind : outcome))).toEqual([
    'accepted',
    'replay',
    'mismatch',
  ]);
  expect(outcomes[1]).toMatchObject({ status: 202, location: accepts[0]?.claim.location });
  expect(await stored(accepts)).toBe(1);
});

test('a twin that still runs elsewhere is not waited for', async () => {
  const busy = ask(rich);
  const client = await database.pool.connect();
  await client.query('begin');
  const text = `${busy.claim.scopeId}:${busy.claim.key}`;
  await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [text]);
  expect(await words([busy, ask(rich)])).toEqual(['in_progress', 'accepted']);
  await client.query('rollback');
  client.release();
  expect(await words([busy])).toEqual(['accepted']);
});

test('many at once from one sender: no cent more than there was', async () => {
  const accepts = Array.from({ length: 60 }, () => ask(rich));
  const batches = Array.from({ length: 12 }, (_, i) => accepts.slice(i * 5, i * 5 + 5));
  const outcomes = (await Promise.all(batches.map(words))).flat();
  expect(outcomes.filter((word) => word === 'accepted')).toHaveLength(40);
  expect(outcomes.filter((word) => word === 'funding_insufficient')).toHaveLength(20);
  expect(await balances(database.db, rich)).toMatchObject({ available: 0, reserved: 100_000 });
});
