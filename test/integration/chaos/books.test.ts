import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { fromUuid, toUuid } from '../../../services/domain/ids.ts';
import { checkBooks, type Finding } from '../../chaos/books.ts';
import type { Answer } from '../../chaos/insisting-client.ts';
import type { Giving, Senders } from '../../chaos/senders.ts';
import type { ReceivedMail } from '../../support/mail-text.ts';
import { openStage, type Stage } from '../domain/stage.ts';

/** One gift, delivered, mailed, and told of: books in order, from which each test breaks one thing. */
let stage: Stage;
let client: pg.PoolClient;
let gift: string;
let giving: Giving;
let senders: Senders;
let mail: ReceivedMail;

const accepted = (id: string): Answer => ({ status: 202, body: { id }, replayed: false });
const refused = (status: number, code: string, retryable: boolean): Answer => ({
  status,
  body: { code, retryable },
  replayed: false,
});

beforeAll(async () => {
  stage = await openStage();
  const { id } = await stage.acceptOne();
  await stage.sent(await stage.claimOne(id));
  await stage.pool.query('delete from outbox');
  gift = toUuid(id);
  const { rows } = await stage.pool.query('select id from deliveries where gift_id = $1', [gift]);
  const messageId = `<${fromUuid('dlv', rows[0].id)}@mail.example.com>`;
  mail = { messageId, link: 'https://gifts.example.com/claim/one' } as ReceivedMail;
  client = await stage.pool.connect();
  const sender = { id: 'sen_x', key: 'lgk_x' };
  giving = { sender, key: 'gift-0', amountMinor: 100, answers: [accepted(id)] };
  senders = {
    givings: [giving],
    funded: new Map([[sender, 10_000]]),
    asked: Promise.resolve(),
    done: Promise.resolve(),
  };
});

afterAll(async () => {
  client.release();
  await stage.close();
});

const brokenIn = (findings: Finding[]) =>
  findings.filter(({ broken }) => broken.length > 0).map(({ rule }) => rule);

/** What the books say while the statements hold, past every trigger and key. */
async function afterBreaking(...statements: string[]): Promise<string[]> {
  await client.query('begin');
  try {
    await client.query('set local session_replication_role = replica');
    for (const statement of statements) await client.query(statement, statement.includes('$1') ? [gift] : []);
    return brokenIn(await checkBooks(client, senders, { mails: () => [mail] }));
  } finally {
    await client.query('rollback');
  }
}

test('books in order have nothing broken', async () => {
  expect(await afterBreaking()).toEqual([]);
});

describe('the chaos checker finds', () => {
  test.each<{ what: string; statement: string; rule: string }>([
    {
      what: 'a cent from nowhere',
      statement: `update ledger_entries set amount_minor = amount_minor + 1 where amount_minor > 0 and transfer_id in
        (select id from ledger_transfers where gift_id = $1)`,
      rule: 'the ledger sums to zero in every currency',
    },
    {
      what: 'a transfer without entries',
      statement: `delete from ledger_entries where transfer_id in
        (select id from ledger_transfers where gift_id = $1 and kind = 'commit')`,
      rule: 'each transfer sums to zero and has entries',
    },
    {
      what: 'a gift that was delivered and never paid',
      statement: `delete from ledger_transfers where gift_id = $1 and kind = 'commit'`,
      rule: 'money of a gift moved as its state says, and only once each way',
    },
    {
      what: 'a gift delivered without a voucher',
      statement: 'delete from vouchers where gift_id = $1',
      rule: 'each gift that was delivered has one voucher of its own amount',
    },
    {
      what: 'a gift claimed by nobody',
      statement: `update gifts set state = 'claimed' where id = $1`,
      rule: 'each gift has one claim if it is claimed, and none otherwise',
    },
    {
      what: 'a gift that stands still',
      statement: `update gifts set state = 'queued' where id = $1`,
      rule: 'every gift has come to an end or to its recipient',
    },
    {
      what: 'a delivery that goes on after its gift has ended',
      statement: `with ended as (update gifts set state = 'cancelled' where id = $1)
        update deliveries set state = 'pending' where gift_id = $1`,
      rule: 'nothing hangs on what has ended: no delivery is under way, no attempt is open',
    },
    {
      what: 'an attempt that stays open',
      statement: `update delivery_attempts set outcome = 'started' where delivery_id in
        (select id from deliveries where gift_id = $1)`,
      rule: 'nothing hangs on what has ended: no delivery is under way, no attempt is open',
    },
    {
      what: 'a row left in the outbox',
      statement: `insert into outbox (queue, body, available_at) values ('gifts', '{}', now())`,
      rule: 'the outbox is empty: nothing waits and nothing is parked',
    },
    {
      what: 'a gift that nobody was told of',
      statement: `insert into gifts select (jsonb_populate_record(g, jsonb_build_object('id', gen_random_uuid(),
        'recipient_id', gen_random_uuid(), 'state', 'cancelled'))).* from gifts g where id = $1`,
      rule: 'one key, one gift, one truth in all answers',
    },
  ])('$what', async ({ statement, rule }) => {
    expect(await afterBreaking(statement)).toContain(rule);
  });

  test.each<{ what: string; answers: () => Answer[]; rule: string }>([
    {
      what: 'a final refusal beside a 202 of the same key',
      answers: () => [...giving.answers, refused(402, 'funding_insufficient', false)],
      rule: 'one key, one gift, one truth in all answers',
    },
    {
      what: 'two gifts of one key',
      answers: () => [...giving.answers, accepted('gft_other')],
      rule: 'one key, one gift, one truth in all answers',
    },
    {
      what: 'an answer that nobody expected',
      answers: () => [...giving.answers, refused(500, 'internal_error', true)],
      rule: 'no answer is an unexpected error',
    },
  ])('$what', async ({ answers, rule }) => {
    const told = { ...senders, givings: [{ ...giving, answers: answers() }] };
    expect(brokenIn(await checkBooks(client, told, { mails: () => [mail] }))).toEqual([rule]);
  });

  test('more mails than attempts, and a delivered gift without one', async () => {
    const rule = 'each delivered gift has its mail, and a second copy only after an outcome in doubt';
    expect(brokenIn(await checkBooks(client, senders, { mails: () => [mail, mail] }))).toEqual([rule]);
    expect(brokenIn(await checkBooks(client, senders, { mails: () => [] }))).toEqual([rule]);
  });

  test('a try that may be repeated beside a 202: that is no contradiction', async () => {
    const answers = [refused(503, 'service_unavailable', true), ...giving.answers];
    const told = { ...senders, givings: [{ ...giving, answers }] };
    expect(brokenIn(await checkBooks(client, told, { mails: () => [mail] }))).toEqual([]);
  });
});
