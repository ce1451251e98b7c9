import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sql } from 'kysely';
import { createClaims } from '../../../services/consumer/claims.ts';
import { createDepartures } from '../../../services/consumer/departures.ts';
import { deliverGift } from '../../../services/consumer/handlers/deliver-gift.ts';
import { sendDelivery } from '../../../services/consumer/handlers/send-delivery.ts';
import { MailBreaker, type Permit } from '../../../services/consumer/mail-breaker.ts';
import type { Mailer } from '../../../services/consumer/mailer.ts';
import { createSettle } from '../../../services/consumer/settle.ts';
import { resetRetryBudgets } from '../../../services/database/queries/reconciler-gifts.ts';
import { requeueStranded } from '../../../services/domain/gifts/queue-gifts.ts';
import { type DeliveryId, type GiftId, newId, toUuid } from '../../../services/domain/ids.ts';
import { toQueueMessage } from '../../../services/queue/message.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, draftGift, fundedSender, keyring } from '../../support/gifts.ts';
import { envelopes } from './consumer-under-test.ts';

/** Where a worker is: about to hand its mail over, allowed to, and after the mail server took it. */
type Point = 'asking' | 'allowed' | 'out';
type Step =
  | { kind: 'work'; dies?: Point; freezes?: Point; refused?: boolean }
  /** the reconciler or an operator sends the message again */
  | { kind: 'redrive' }
  /** the reconciler finds that there is no message any more */
  | { kind: 'sweep' }
  /** the pause before the repeat of a mail in doubt is over */
  | { kind: 'hours pass' };
type Purpose = 'gift' | 'resend';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await sql`
    create function refuse_outcome() returns trigger language plpgsql as $$
    begin
      raise exception 'never this row' using errcode = '23514', constraint = 'refused';
    end $$`.execute(database.db);
  await sql`
    create trigger refuse_outcome before update on delivery_attempts for each row
      when (old.outcome = 'started' and new.outcome <> 'interrupted') execute function refuse_outcome()`.execute(
    database.db,
  );
  await refuseOutcomes(false);
});
afterAll(() => database.drop());

const refuseOutcomes = (on: boolean) =>
  sql`alter table delivery_attempts ${sql.raw(on ? 'enable' : 'disable')} trigger refuse_outcome`.execute(
    database.db,
  );

async function acceptSubject(purpose: Purpose): Promise<{ giftId: GiftId; deliveryId: DeliveryId }> {
  const { db } = database;
  const sender = await fundedSender(db, 10_000);
  const { gifts } = await accept(db, [draftGift(sender)]);
  const giftId = gifts[0]?.id as GiftId;
  const deliveryId = newId('dlv');
  if (purpose === 'resend') {
    await new Workers({ giftId, deliveryId, purpose: 'gift' }).handle({ kind: 'work' });
    const row = { id: toUuid(deliveryId), gift_id: toUuid(giftId), purpose, channel: 'email' } as const;
    await db
      .insertInto('deliveries')
      .values({ ...row, state: 'pending', state_changed_at: new Date() })
      .execute();
  }
  return { giftId, deliveryId };
}

/** Workers that are given the message of one subject, one after the other; some die, some are frozen and wake up at the end. */
class Workers {
  readonly #subject: { giftId: GiftId; deliveryId: DeliveryId; purpose: Purpose };
  readonly #frozen: { wake: () => void; ended: Promise<unknown> }[] = [];
  copies = 0;

  constructor(subject: { giftId: GiftId; deliveryId: DeliveryId; purpose: Purpose }) {
    this.#subject = subject;
  }

  async handle({ dies, freezes, refused = false }: Extract<Step, { kind: 'work' }>): Promise<void> {
    if (refused) await refuseOutcomes(true);
    const gone = Promise.withResolvers<void>();
    const awake = Promise.withResolvers<void>();
    const reach = async (point: Point) => {
      if (point !== dies && point !== freezes) return;
      gone.resolve();
      if (point === dies) await new Promise(() => undefined);
      await awake.promise;
    };
    const ended = this.#deliver(reach);
    await Promise.race([ended, gone.promise]);
    if (refused) await refuseOutcomes(false);
    if (freezes !== undefined) this.#frozen.push({ wake: awake.resolve, ended });
  }

  async wakeAll(): Promise<void> {
    for (const { wake } of this.#frozen) wake();
    await Promise.all(this.#frozen.map(({ ended }) => ended));
  }

  async #deliver(reach: (point: Point) => Promise<void>): Promise<void> {
    const { db } = database;
    const { giftId, deliveryId, purpose } = this.#subject;
    const random = () => 0;
    const claims = createClaims({ db, keyring, leaseSeconds: 60 }, { maxSize: 10 });
    const mailer: Mailer = {
      close: () => undefined,
      send: async (_mail, _signal, { mayLeave } = {}) => {
        await reach('asking');
        try {
          await mayLeave?.();
        } catch (error) {
          return { ok: false, error, begun: true, inDoubt: false };
        }
        await reach('allowed');
        this.copies += 1;
        await reach('out');
        return { ok: true };
      },
    };
    const deps = {
      ...{ claims, keyring, mailer, leaseSeconds: 60, connectionWaitMs: 60_000 },
      departures: createDepartures({ db, random, waitMs: 10_000 }, { maxSize: 1, maxDelayMs: 0 }),
      settle: createSettle({ db, random }, { maxSize: 1, maxDelayMs: 0 }),
      publicUrl: 'https://gifts.example.com',
      mailFrom: { name: 'Gifts', address: 'gifts@mail.example.com', domain: 'mail.example.com' },
      stopping: new AbortController().signal,
      onMail: () => undefined,
      retry: { ...retry, random },
      breaker: new MailBreaker({
        ...{ nowMs: () => 0, random, pauses: false, onPause: () => undefined, onResume: () => undefined },
      }),
      leases: { keep: () => () => undefined, close: async () => undefined },
    };
    const { signal } = new AbortController();
    const context = { signal, deadlineAt: new Date(), outlast: () => signal };
    const permit = deps.breaker.admit() as Permit;
    const received = toQueueMessage({ MessageId: 'm', Body: '' }, Date.now());
    await (purpose === 'gift'
      ? deliverGift(deps, { type: 'gift.deliver', version: 1, id: giftId }, received, context, permit)
      : sendDelivery(deps, { type: 'delivery.send', version: 1, id: deliveryId }, received, context, permit));
  }
}

const retry = {
  ...{ maxRetryCount: 5, baseMs: 2_000, capMs: 900_000, forgives: true },
  ...{ inDoubtRepeats: 1, inDoubtPauseSeconds: 900 },
};

const leasesRunOut = async () => {
  const past = sql<Date>`clock_timestamp() - interval '1 second'`;
  for (const table of ['gifts', 'deliveries'] as const)
    await database.db
      .updateTable(table)
      .set({ lease_until: past })
      .where('lease_until', 'is not', null)
      .execute();
};

async function take(step: Step, workers: Workers, subjects: string[]): Promise<void> {
  const { db } = database;
  const age = { stuckSeconds: 0, deadLetterRetentionSeconds: 0 };
  if (step.kind === 'work') await workers.handle(step);
  await leasesRunOut();
  if (step.kind === 'redrive') await db.transaction().execute((trx) => resetRetryBudgets(trx, subjects));
  if (step.kind === 'sweep')
    await db.transaction().execute((trx) => requeueStranded(trx, { outbox: envelopes }, age, 10));
  if (step.kind === 'hours pass')
    await db
      .updateTable('delivery_attempts')
      .set({ next_attempt_at: new Date(0) })
      .execute();
}

async function stand(giftId: GiftId) {
  const { rows } = await database.pool.query(
    `select g.state, array_agg(d.state order by d.purpose) as deliveries,
      (select array_agg(kind order by kind) from ledger_transfers where gift_id = g.id) as transfers,
      (select count(*)::int from delivery_attempts a join deliveries own on own.id = a.delivery_id
        where own.gift_id = g.id and a.outcome = 'started') as open
    from gifts g join deliveries d on d.gift_id = g.id where g.id = $1 group by g.id`,
    [toUuid(giftId)],
  );
  return rows[0] as { state: string; deliveries: string[]; transfers: string[]; open: number };
}

const point = fc.constantFrom<Point>('asking', 'allowed', 'out');
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: point.map((dies): Step => ({ kind: 'work', dies })) },
  { weight: 2, arbitrary: point.map((freezes): Step => ({ kind: 'work', freezes })) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'work', refused: true }) },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ kind: 'work' }, { kind: 'redrive' }, { kind: 'sweep' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'hours pass' }) },
);

test.each<Purpose>(['gift', 'resend'])(
  'a %s is mailed twice at most, whatever mix of kills, freezes, refused records and redrives it meets',
  async (purpose) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 2, maxLength: 8 }), async (steps) => {
        const { giftId, deliveryId } = await acceptSubject(purpose);
        const workers = new Workers({ giftId, deliveryId, purpose });
        const subjects = [toUuid(purpose === 'gift' ? giftId : deliveryId)];
        for (const step of steps) await take(step, workers, subjects);
        await workers.wakeAll();
        // Everything is well again: it comes to rest, and to its recipient.
        for (let hour = 0; hour < 4; hour += 1) {
          await take({ kind: 'redrive' }, workers, subjects);
          await take({ kind: 'work' }, workers, subjects);
          await take({ kind: 'hours pass' }, workers, subjects);
        }
        expect(workers.copies).toBeLessThanOrEqual(2);
        const { state, deliveries, transfers, open } = await stand(giftId);
        expect({ state, transfers, open }).toEqual({
          ...{ state: 'delivered', transfers: ['commit', 'reserve'], open: 0 },
        });
        expect(new Set(deliveries)).toEqual(new Set(['sent']));
      }),
      { numRuns: 40 },
    );
  },
  120_000,
);

test.each([1, 2, 3])(
  'a gift whose workers died %i times before the mail left is mailed by the next one',
  async (deaths) => {
    const subject = { ...(await acceptSubject('gift')), purpose: 'gift' as const };
    const workers = new Workers(subject);
    for (let death = 0; death < deaths; death += 1) {
      await take({ kind: 'work', dies: 'asking' }, workers, []);
    }
    await take({ kind: 'work' }, workers, []);
    expect(workers.copies).toBe(1);
    expect(await stand(subject.giftId)).toMatchObject({ state: 'delivered', deliveries: ['sent'], open: 0 });
  },
);

test('a gift whose worker died when the mail was on its way can be claimed as soon as another has its message', async () => {
  const subject = { ...(await acceptSubject('gift')), purpose: 'gift' as const };
  const workers = new Workers(subject);
  await take({ kind: 'work', dies: 'out' }, workers, []);
  await take({ kind: 'work' }, workers, []);
  expect(workers.copies).toBe(1);
  expect(await stand(subject.giftId)).toMatchObject({
    state: 'delivered',
    deliveries: ['deferred'],
    transfers: ['commit', 'reserve'],
  });
  const attempts = await database.db
    .selectFrom('delivery_attempts as a')
    .innerJoin('deliveries as d', 'd.id', 'a.delivery_id')
    .select(['a.number', 'a.outcome', 'a.code'])
    .where('d.gift_id', '=', toUuid(subject.giftId))
    .execute();
  expect(attempts).toEqual([{ number: 1, outcome: 'in_doubt', code: 'worker_lost' }]);
});
