import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { createDatabase } from '../../../services/database/client.ts';
import { acceptGifts, type GiftAccept, giftAccept } from '../../../services/domain/gifts/accept-gifts.ts';
import type { AcceptClaim } from '../../../services/domain/gifts/gift-insert.ts';
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
  { draft = {}, claim = {} }: { draft?: Partial<GiftDraft>; claim?: Partial<AcceptClaim> } = {},
): GiftAccept {
  const prepared = prepareGift({ keyring }, draftGift(sender, draft));
  const { id } = prepared.gift;
  return giftAccept({ outbox }, prepared, {
    scopeId: toUuid(sender.senderId),
    key: newUuid(),
    fingerprint: Buffer.alloc(32, 1),
    status: 202,
    bodyAt: (moment) => ({ id, created_at: moment, last: 'of all' }),
    location: `/v1/gifts/${id}`,
    ...claim,
  });
}

const accept = (accepts: GiftAccept[], lockWaitMs = 200) =>
  acceptGifts(database.db, { outbox, lockWaitMs }, accepts);

/** What became of each, as one word. */
const words = async (accepts: GiftAccept[], lockWaitMs = 200) =>
  (await accept(accepts, lockWaitMs)).map((outcome) =>
    outcome.kind === 'refused' ? outcome.error.code : outcome.kind,
  );

const euros = (amount: number): Partial<GiftDraft> => ({ value: { amount, currency: 'EUR' } });

/** How many statements the pool is asked for meanwhile. */
async function statementsOf<T>(work: () => Promise<T>): Promise<number> {
  let statements = 0;
  const client = await database.pool.connect();
  const { query } = Object.getPrototypeOf(client) as pg.Client;
  client.release();
  const prototype = Object.getPrototypeOf(client) as { query: typeof query };
  prototype.query = function counted(this: pg.Client, ...args: never[]) {
    statements += 1;
    return (query as (...all: never[]) => unknown).apply(this, args) as never;
  };
  try {
    await work();
  } finally {
    prototype.query = query;
  }
  return statements;
}

async function stored(accepts: GiftAccept[]): Promise<number> {
  const ids = accepts.map(({ insert }) => insert.id);
  return (await database.db.selectFrom('gifts').select('id').where('id', 'in', ids).execute()).length;
}

test('gifts of several senders are accepted together, each with its own outbox row', async () => {
  const other = await fundedSender(database.db, 100_000);
  const accepts = [ask(rich), ask(other), ask(rich)];
  const outcomes = await accept(accepts);
  const bodies = outcomes.map((outcome) => ('outboxRow' in outcome ? outcome.outboxRow?.body : outcome));
  expect(bodies).toEqual(accepts.map(({ insert }) => insert.outbox_body));
  expect((await balances(database.db, rich)).reserved).toBe(5_000);
  expect((await balances(database.db, other)).reserved).toBe(2_500);
});

describe('a refusal is the outcome of its row, and nothing to its neighbours', () => {
  test('every kind of refusal in one statement', async () => {
    const poor = await fundedSender(database.db, 100);
    const taken = ask(rich, { draft: { externalId: 'taken' } });
    expect(await words([taken])).toEqual(['accepted']);
    const accepts = [
      ask(rich),
      ask(poor),
      ask(rich, { draft: { externalId: 'taken' } }),
      ask(rich, { draft: { value: { amount: 5, currency: 'USD' } } }),
      ask(rich, { draft: { acceptable: { from: null, until: new Date(0) } } }),
      ask(rich, { claim: { key: taken.claim?.key ?? '', fingerprint: Buffer.alloc(32, 9) } }),
      ask(rich),
    ];
    let outcomes: string[] = [];
    const statements = await statementsOf(async () => {
      outcomes = await words(accepts);
    });
    expect(outcomes).toEqual([
      'accepted',
      'funding_insufficient',
      'external_id_taken',
      'funding_account_missing',
      'untimely',
      'mismatch',
      'accepted',
    ]);
    expect(statements).toBe(1);
    expect(await stored(accepts)).toBe(2);
    const keys = accepts.map(({ claim }) => claim?.key ?? '');
    const kept = await database.db
      .selectFrom('idempotency_keys')
      .select('key')
      .where('key', 'in', keys)
      .execute();
    expect(kept).toHaveLength(3);
    expect((await balances(database.db, poor)).available).toBe(100);
  });

  test('external_id_taken names the gift that has it, be it stored or in the same statement', async () => {
    const draft = { externalId: newUuid() };
    const first = ask(rich, { draft });
    const [, second] = await accept([first, ask(rich, { draft })]);
    const [third] = await accept([ask(rich, { draft })]);
    const gift = expect.stringMatching(/^gft_/);
    for (const outcome of [second, third])
      expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'external_id_taken', giftId: gift } });
  });

  test('a gift too large for what is left takes nothing from the smaller ones after it', async () => {
    const sender = await fundedSender(database.db, 1_000);
    const amounts = [600, 500, 300, 200, 100, 1];
    expect(await words(amounts.map((amount) => ask(sender, { draft: euros(amount) })))).toEqual([
      'accepted',
      'funding_insufficient',
      'accepted',
      'funding_insufficient',
      'accepted',
      'funding_insufficient',
    ]);
    expect(await balances(database.db, sender)).toMatchObject({ available: 0, reserved: 1_000 });
  });

  test('an external_id or key that was refused the first time is free for the next row of the same statement', async () => {
    const sender = await fundedSender(database.db, 1_000);
    const claim = { key: newUuid() };
    expect(
      await words([
        ask(sender, { draft: { ...euros(1_001), externalId: 'order' }, claim }),
        ask(sender, { draft: { ...euros(1_000), externalId: 'order' }, claim }),
      ]),
    ).toEqual(['funding_insufficient', 'accepted']);
  });

  test('a thousand rows with one that no rule foresaw take three statements at most, and the others are accepted', async () => {
    const sender = await fundedSender(database.db, 10_000_000);
    await database.pool.query('alter table gifts add constraint gifts_unlucky check (amount_minor <> 666)');
    const amounts = Array.from({ length: 1_000 }, (_, i) => (i === 777 ? 666 : 700));
    const accepts = amounts.map((amount) => ask(sender, { draft: euros(amount) }));
    let outcomes: string[] = [];
    const statements = await statementsOf(async () => {
      outcomes = await words(accepts);
    });
    await database.pool.query('alter table gifts drop constraint gifts_unlucky');
    expect(outcomes.filter((word) => word === 'accepted')).toHaveLength(999);
    expect(outcomes[777]).toBe('illegal');
    expect(statements).toBeLessThanOrEqual(3);
    expect(await stored(accepts)).toBe(999);
    expect((await balances(database.db, sender)).reserved).toBe(999 * 700);
  });

  test('what is refused at the end of the transaction is found as well', async () => {
    await database.pool.query(`
      create function unlucky() returns trigger language plpgsql as $$
      begin raise exception 'unlucky' using errcode = 'check_violation', constraint = 'gifts_unlucky'; end $$;
      create constraint trigger gifts_unlucky after insert on gifts deferrable initially deferred
        for each row when (new.amount_minor = 666) execute function unlucky()`);
    const accepts = [700, 666, 700].map((amount) => ask(rich, { draft: euros(amount) }));
    expect(await words(accepts)).toEqual(['accepted', 'illegal', 'accepted']);
    await database.pool.query('drop trigger gifts_unlucky on gifts; drop function unlucky()');
  });
});

test('a statement that takes too long decides nothing, and is not repeated gift by gift', async () => {
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
  const outcomes = await acceptGifts(impatient.db, { outbox, lockWaitMs: 60_000 }, accepts);
  expect(outcomes.map(({ kind }) => kind)).toEqual(['busy', 'busy', 'busy']);
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
  expect(outcomes.map(({ kind }) => kind)).toEqual(['accepted', 'replay', 'mismatch']);
  expect(outcomes[1]).toMatchObject({ status: 202, location: accepts[0]?.claim?.location });
  expect(await stored(accepts)).toBe(1);
  const [later] = await accept(accepts.slice(0, 1));
  expect(JSON.stringify(later)).toBe(JSON.stringify(outcomes[1]));
});

test('a twin that still runs elsewhere is not waited for', async () => {
  const busy = ask(rich);
  const client = await database.pool.connect();
  await client.query('begin');
  const text = `${busy.claim?.scopeId}:${busy.claim?.key}`;
  await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [text]);
  expect(await words([busy, ask(rich)])).toEqual(['in_progress', 'accepted']);
  await client.query('rollback');
  client.release();
  expect(await words([busy])).toEqual(['accepted']);
});

test('many at once from one sender: no cent more than there was', async () => {
  const accepts = Array.from({ length: 60 }, () => ask(rich));
  const batches = Array.from({ length: 12 }, (_, i) => accepts.slice(i * 5, i * 5 + 5));
  const outcomes = (await Promise.all(batches.map((batch) => words(batch, 10_000)))).flat();
  expect(outcomes.filter((word) => word === 'accepted')).toHaveLength(40);
  expect(outcomes.filter((word) => word === 'funding_insufficient')).toHaveLength(20);
  expect(await balances(database.db, rich)).toMatchObject({ available: 0, reserved: 100_000 });
});

describe('whoever holds what belongs to one sender holds up that sender alone', () => {
  const own = (sender: FundedSender, table: string) =>
    ({
      senders: `select from senders where id = '${toUuid(sender.senderId)}' for update`,
      funding_accounts: `select from funding_accounts where sender_id = '${toUuid(sender.senderId)}' for update`,
      ledger_accounts: `select from ledger_accounts a join funding_accounts f on f.id = a.funding_account_id
      where f.sender_id = '${toUuid(sender.senderId)}' for update of a`,
      'the balance': `select pg_advisory_xact_lock(ledger_lock_key(id)) from funding_accounts
      where sender_id = '${toUuid(sender.senderId)}'`,
    })[table];

  test.each(['senders', 'funding_accounts', 'ledger_accounts', 'the balance'])('%s', async (table) => {
    const held = await fundedSender(database.db, 100_000);
    const client = await database.pool.connect();
    await client.query('begin');
    await client.query(own(held, table) ?? '');
    expect(await words([ask(rich), ask(held), ask(rich), ask(held)])).toEqual([
      'accepted',
      'busy',
      'accepted',
      'busy',
    ]);
    await client.query('rollback');
    client.release();
    expect(await words([ask(held)])).toEqual(['accepted']);
  });

  test.each([
    ['the balances themselves', 'select from ledger_balances for update'],
    ['the keys that are stored', 'select from idempotency_keys for update'],
  ])('%s may be locked: nobody needs them', async (_what, statement) => {
    const accepted = ask(rich);
    await accept([accepted]);
    const client = await database.pool.connect();
    await client.query('begin');
    await client.query(statement);
    expect(await words([ask(rich), accepted])).toEqual(['accepted', 'replay']);
    await client.query('rollback');
    client.release();
  });

  test('a key that is being stored by somebody who holds no lock on it decides nothing, of nobody', async () => {
    const [asked, other] = [ask(rich), ask(await fundedSender(database.db, 100_000))];
    const client = await database.pool.connect();
    await client.query('begin');
    await client.query(
      `insert into idempotency_keys (scope_id, key, fingerprint, status, body) values ($1, $2, '', 202, '{}')`,
      [asked.claim?.scopeId, asked.claim?.key],
    );
    expect(await words([asked, other])).toEqual(['busy', 'busy']);
    expect(await words([other])).toEqual(['accepted']);
    await client.query('commit');
    client.release();
    expect(await words([asked])).toEqual(['mismatch']);
  });
});

test('times are the database’s: what is accepted later is later, and the answer says the same as the row', async () => {
  const asked = ask(rich);
  const before = await database.pool.query('select clock_timestamp() as now');
  const [outcome] = await accept([asked]);
  const { rows } = await database.pool.query(
    `select g.created_at, g.state_changed_at, k.body ->> 'created_at' as told from gifts g, idempotency_keys k
      where g.id = $1 and k.key = $2`,
    [asked.insert.id, asked.claim?.key],
  );
  expect(outcome?.kind === 'accepted' && outcome.at).toEqual(rows[0].created_at);
  expect(rows[0].state_changed_at).toEqual(rows[0].created_at);
  expect(rows[0].told).toBe(rows[0].created_at.toISOString());
  expect(rows[0].created_at.getTime()).toBeGreaterThanOrEqual(Math.floor(before.rows[0].now.getTime()) - 1);
});
