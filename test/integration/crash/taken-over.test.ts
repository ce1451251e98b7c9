import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { killRoles } from '../../support/role-process.ts';
import { storyOf } from '../consumer/world.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from './system.ts';

/** As in production: no second copy comes while these tests last, but for a fault. */
const patient = { MAIL_IN_DOUBT_PAUSE_SECONDS: '900' };

let system: System;
let given = 0;

beforeAll(async () => {
  system = await createSystem();
}, 60_000);
afterEach(async () => {
  system.mail.behave({ kind: 'accept' });
  await killRoles();
});
afterAll(() => system.end());

async function give(count: number): Promise<GiftId[]> {
  const api = await system.startApi();
  const bodies = Array.from({ length: count }, (_, index) => giftBody(given + index));
  given += count;
  const ids = await acceptOverHttp(api, system.sender, bodies);
  await eventually(async () => {
    const { rows } = await system.database.pool.query('select 1 from outbox');
    expect(rows).toEqual([]);
  });
  await api.stop();
  return ids;
}

const arrive = (ids: GiftId[]) =>
  eventually(
    async () => {
      const uuids = ids.map((id) => toUuid(id));
      const { rows } = await system.database.pool.query(
        'select state, count(*)::integer from gifts where id = any ($1) group by state',
        [uuids],
      );
      expect(rows).toEqual([{ state: 'delivered', count: ids.length }]);
    },
    { timeoutMs: 40_000, intervalMs: 100 },
  );

const outcomesOf = async (id: GiftId) =>
  (await storyOf(system.database, id)).attempts.map(({ outcome }) => outcome);

/** Mails since a moment, and to how many different people. */
function mailsSince(before: number) {
  const mails = system.mail.mails().slice(before);
  return { mails: mails.length, people: new Set(mails.map(({ to }) => to.join())).size };
}

test('SIGKILL after the mail, again and again: its gift can be claimed, and no copy follows within minutes', async () => {
  const before = system.mail.mails().length;
  system.mail.behave({ kind: 'hang', at: 'content', kept: true });
  const first = await system.startConsumer({ ...patient, SMTP_MAX_CONNECTIONS: '12' });
  const ids = await give(6);
  await eventually(() => expect(mailsSince(before)).toEqual({ mails: 6, people: 6 }));
  await first.kill();
  const second = await system.startConsumer(patient);
  await arrive(ids);
  await second.kill();
  // Whoever sends the message again hastens nothing.
  await system.reconcile();
  const third = await system.startConsumer(patient);
  await third.stop();
  for (const id of ids) expect(await outcomesOf(id)).toEqual(['in_doubt']);
  expect(mailsSince(before)).toEqual({ mails: 6, people: 6 });
}, 300_000);

test('SIGKILL before the mail, three times: it arrives with the next worker, once', async () => {
  const before = system.mail.mails().length;
  const ids = await give(4);
  const delivering = () =>
    eventually(
      async () => {
        for (const id of ids) {
          const outcomes = await outcomesOf(id);
          expect(outcomes.at(-1)).toBe('started');
        }
      },
      { timeoutMs: 30_000 },
    );
  for (const at of ['greeting', 'sender', 'recipient'] as const) {
    const heldBefore = system.mail.held();
    system.mail.behave({ kind: 'hang', at });
    const consumer = await system.startConsumer({ ...patient, SMTP_MAX_CONNECTIONS: '12' });
    await eventually(() => expect(system.mail.held()).toBeGreaterThanOrEqual(heldBefore + ids.length), {
      timeoutMs: 30_000,
    });
    await delivering();
    await consumer.kill();
  }
  system.mail.behave({ kind: 'accept' });
  const consumer = await system.startConsumer(patient);
  await arrive(ids);
  await consumer.stop();
  expect(mailsSince(before)).toEqual({ mails: 4, people: 4 });
}, 300_000);

test('SIGSTOP beyond the lease: who is taken over sends nothing that his successor has sent', async () => {
  const before = system.mail.mails().length;
  const slow = { ...patient, SMTP_MAX_CONNECTIONS: '2', MAX_IN_FLIGHT: '20' };
  const ids = await give(60);
  const frozen = await system.startConsumer(slow);
  await eventually(() => expect(mailsSince(before).mails).toBeGreaterThan(10), { intervalMs: 2 });
  frozen.freeze();
  const successor = await system.startConsumer(patient);
  await arrive(ids);
  frozen.thaw();
  await eventually(() => expect(frozen.lines().some(({ event }) => event === 'message_handled')).toBe(true));
  expect(await frozen.stop()).toBe(0);
  await successor.stop();
  const { mails, people } = mailsSince(before);
  expect(mails).toBe(people);
}, 300_000);
