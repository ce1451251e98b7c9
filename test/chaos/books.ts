import type pg from 'pg';
import { fromUuid } from '../../services/domain/ids.ts';
import type { MailServer } from '../support/mail-server.ts';
import type { Senders } from './senders.ts';

type Queryable = Pick<pg.ClientBase, 'query'>;

/** What must be true, whatever happened: a sentence, and everything that breaks it. */
export type Finding = { rule: string; broken: string[] };

/** SQL of the checker's own: it shares neither queries nor types with what it checks. Each row names what is wrong. */
const rules: { rule: string; sql: string }[] = [
  {
    rule: 'the ledger sums to zero in every currency',
    sql: `select currency || ' ' || sum(amount_minor) from ledger_entries group by currency having sum(amount_minor) <> 0`,
  },
  {
    rule: 'each transfer sums to zero and has entries',
    sql: `select t.id::text from ledger_transfers t left join ledger_entries e on e.transfer_id = t.id
      group by t.id having coalesce(sum(e.amount_minor), 1) <> 0`,
  },
  {
    rule: 'no account that belongs to a sender is below zero',
    sql: `select a.id::text from ledger_accounts a join ledger_entries e on e.account_id = a.id
      where a.funding_account_id is not null group by a.id having sum(e.amount_minor) < 0`,
  },
  {
    rule: 'money of a gift moved as its state says, and only once each way',
    sql: `select g.id::text || ' ' || g.state || ' ' || coalesce(string_agg(t.kind, ',' order by t.kind), 'nothing')
      from gifts g left join ledger_transfers t on t.gift_id = g.id group by g.id, g.state
      having coalesce(string_agg(t.kind, ',' order by t.kind), '') <> all (case
        when g.state in ('delivered', 'claimed') then array['commit,reserve']
        when g.state in ('failed', 'rejected') then array['release,reserve']
        when g.state in ('cancelled', 'expired') then array['release,reserve', 'commit,reserve,return']
        else array['reserve'] end)`,
  },
  {
    rule: 'each gift that was delivered has one voucher of its own amount',
    sql: `select g.id::text from gifts g left join vouchers v on v.gift_id = g.id and v.amount_minor = g.amount_minor
      where g.state in ('delivered', 'claimed') group by g.id having count(v.id) <> 1`,
  },
  {
    rule: 'each gift has one claim if it is claimed, and none otherwise',
    sql: `select g.id::text from gifts g left join claims c on c.gift_id = g.id group by g.id, g.state
      having count(c.id) <> case g.state when 'claimed' then 1 else 0 end`,
  },
  {
    rule: 'every gift has come to an end or to its recipient',
    sql: `select id::text || ' ' || state || coalesce(' ' || failure_code, '') from gifts
      where state not in ('delivered', 'claimed', 'cancelled')`,
  },
  {
    rule: 'nothing hangs on what has ended: no delivery is under way, no attempt is open',
    sql: `select d.id::text || ' ' || d.purpose || ' ' || d.state || ' of a gift ' || g.state from deliveries d
        join gifts g on g.id = d.gift_id
        where g.state in ('claimed', 'cancelled', 'expired', 'failed', 'rejected')
          and d.state in ('pending', 'sending', 'deferred')
      union all
      select a.id::text || ' attempt of a delivery ' || d.state from delivery_attempts a
        join deliveries d on d.id = a.delivery_id where a.outcome = 'started' and d.state <> 'sending'`,
  },
  {
    rule: 'each gift was accepted once, and delivered at most once, in the audit records',
    sql: `select subject_id::text || ' ' || action || ' ' || count(*) from audit_records
      where action in ('gift.accepted', 'gift.delivered', 'gift.claimed', 'gift.cancelled')
      group by subject_id, action having count(*) > 1`,
  },
  {
    rule: 'the outbox is empty: nothing waits and nothing is parked',
    sql: `select id::text || coalesce(' ' || parked_reason, '') from outbox`,
  },
  {
    rule: 'no key waits for its answer',
    sql: `select key from idempotency_keys where status = 0`,
  },
];

/** Every rule, and what breaks it. */
export async function checkBooks(
  pool: Queryable,
  senders: Senders,
  mail: Pick<MailServer, 'mails'>,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { rule, sql } of rules) findings.push({ rule, broken: await column(pool, sql) });
  findings.push(await checkAnswers(pool, senders), await checkBalances(pool, senders));
  findings.push(await checkMails(pool, mail), checkFaults(senders));
  return findings;
}

/** What senders were told is what happened: one gift per key that was accepted, none for one that was refused. */
async function checkAnswers(pool: Queryable, { givings }: Senders): Promise<Finding> {
  const broken: string[] = [];
  const given = new Map<string, string>();
  for (const { key, answers } of givings) {
    const accepted = answers.filter(({ status }) => status === 202).map(({ body }) => String(body['id']));
    const refused = answers.filter(({ status, body }) => status !== 202 && body['retryable'] === false);
    if (new Set(accepted).size > 1) broken.push(`${key}: ${new Set(accepted).size} gifts`);
    if (accepted.length > 0 && refused.length > 0)
      broken.push(`${key}: 202, and also ${refused.map(({ body }) => String(body['code'])).join(', ')}`);
    if (accepted[0] !== undefined) given.set(accepted[0], key);
  }
  const count = Number((await column(pool, 'select count(*)::text from gifts'))[0]);
  if (count !== given.size) broken.push(`${count} gifts exist, ${given.size} were promised`);
  return { rule: 'one key, one gift, one truth in all answers', broken };
}

/** What the system can't do at this moment it says as such: 503. Anything else above 499 is a fault that it did not expect. */
function checkFaults({ givings }: Senders): Finding {
  const odd = givings.flatMap(({ answers }) =>
    answers.filter(({ status }) => status >= 500 && status !== 503),
  );
  const broken = [...Map.groupBy(odd, ({ status, body }) => `${status} ${String(body['code'])}`)].map(
    ([what, answers]) =>
      `${answers.length} times ${what}, as of request ${String(answers[0]?.body['request_id'])}`,
  );
  return { rule: 'no answer is an unexpected error', broken };
}

/** What a sender has left is what they paid in, less the gifts that they gave and did not get back. */
async function checkBalances(pool: Queryable, { funded }: Senders): Promise<Finding> {
  const paid = [...funded.values()].reduce((sum, amount) => sum + amount, 0);
  const sums = await column(
    pool,
    `select (select coalesce(sum(e.amount_minor), 0) from ledger_entries e
        join ledger_accounts a on a.id = e.account_id where a.funding_account_id is not null)
      + (select coalesce(sum(amount_minor), 0) from gifts where state in ('delivered', 'claimed')) as total`,
  );
  const broken = Number(sums[0]) === paid ? [] : [`${sums[0]} cents, of ${paid} that were paid in`];
  return { rule: 'what was paid in is with the senders or in delivered gifts', broken };
}

/**
 * A mail is sent again only where nobody can know whether it arrived: the server was silent, or the worker was killed or frozen.
 * An attempt that failed for certain has left nothing in a mailbox.
 */
async function checkMails(pool: Queryable, mail: Pick<MailServer, 'mails'>): Promise<Finding> {
  const broken: string[] = [];
  const { rows } = await pool.query(`select d.id, d.purpose, g.state,
      (select count(*)::integer from delivery_attempts a
        where a.delivery_id = d.id and a.outcome in ('sent', 'in_doubt', 'superseded')) as possible,
      exists (select from delivery_attempts a where a.delivery_id = d.id and a.outcome = 'in_doubt') as in_doubt
    from deliveries d join gifts g on g.id = d.gift_id`);
  const copies = Map.groupBy(mail.mails(), ({ messageId }) => messageId);
  for (const { id, purpose, state, possible, in_doubt: inDoubt } of rows as Sending[]) {
    const arrived = copies.get(`<${fromUuid('dlv', id)}@mail.example.com>`) ?? [];
    if (arrived.length > possible) broken.push(`${id}: ${arrived.length} copies of ${possible} attempts`);
    if (new Set(arrived.map(({ link }) => link)).size > 1) broken.push(`${id}: different links`);
    const expected = purpose === 'gift' && !inDoubt && (state === 'delivered' || state === 'claimed');
    if (expected && arrived.length === 0) broken.push(`${id}: delivered, and no mail arrived`);
  }
  return {
    rule: 'each delivered gift has its mail, and a second copy only after an outcome in doubt',
    broken,
  };
}

type Sending = { id: string; purpose: string; state: string; possible: number; in_doubt: boolean };

async function column(pool: Queryable, sql: string): Promise<string[]> {
  const { rows } = await pool.query({ text: sql, rowMode: 'array' });
  return (rows as unknown[][]).map(([value]) => String(value));
}
