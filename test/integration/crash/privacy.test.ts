import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { codeOf } from '../../../services/domain/vouchers/code.ts';
import { eventually } from '../../support/eventually.ts';
import { passHalfTheirTime } from '../../support/gifts.ts';
import type { ReceivedMail } from '../../support/mail-text.ts';
import { deadLetters } from '../consumer/world.ts';
import { cancel, claim, claimByForm, expectMails, getText, resend } from './privacy-steps.ts';
import { type SpanCollector, startSpanCollector } from './span-collector.ts';
import { type ApiProcess, acceptOverHttp, createSystem, postJson, type System } from './system.ts';

let system: System;
let spans: SpanCollector;

beforeAll(async () => {
  [system, spans] = await Promise.all([createSystem(), startSpanCollector()]);
}, 60_000);

afterAll(async () => {
  await system.end();
  await spans.stop();
});

const emails = {
  delivered: 'zelda.privacy@recipient.example',
  refused: 'rosalind.privacy@refusing.example',
  deferred: 'dorothea.privacy@deferring.example',
  reminded: 'persephone.privacy@recipient.example',
  cancelled: 'hildegard.privacy@recipient.example',
  invalid: 'ignatia.privacy@@invalid.example',
};
const wallet = '0x52908400098527886E0F7030069857D2E4169EE7';
const wrongChecksum = '0x52908400098527886E0F7030069857D2E4169eE7';
const message = 'Meet me at the lighthouse';
const senderName = 'Quentin Wetherby';
const smtpPassword = 'hunter2-of-the-mail-server';

const giftFor = (email: string) => ({
  value: { amount: 1_000, currency: 'EUR' },
  recipient: { type: 'email', email },
  message,
  sender_name: senderName,
});

test('P59: no address, wallet, code, token or message in any log, trace, metric, event, queue message or error body', async () => {
  system.mail.behave(({ at, to }) => {
    if (to === emails.refused) return { kind: 'reply', at: 'recipient', code: 550 };
    if (to === emails.deferred && at === 'content') return { kind: 'reply', at, code: 451 };
    return { kind: 'accept' };
  });
  const tracing = {
    OTEL_EXPORTER_OTLP_ENDPOINT: spans.endpoint,
    LOG_LEVEL: 'debug',
    MAX_RETRY_COUNT: '1',
    RESEND_COOLDOWN_SECONDS: '0',
  };
  const api = await system.startApi(tracing);
  const smtp = system.mail.url.replace('smtp://', `smtp://mailer:${smtpPassword}@`);
  const consumer = await system.startConsumer({ ...tracing, SMTP_URL: smtp });

  const [delivered, refused, deferred, toWallet, reminded, cancelled] = (await acceptOverHttp(
    api,
    system.sender,
    [
      giftFor(emails.delivered),
      giftFor(emails.refused),
      giftFor(emails.deferred),
      { ...giftFor(''), recipient: { type: 'wallet', address: wallet } },
      { ...giftFor(emails.reminded), expires_at: new Date(Date.now() + 3_600_000).toISOString() },
      giftFor(emails.cancelled),
    ],
  )) as [GiftId, GiftId, GiftId, GiftId, GiftId, GiftId];
  const ids = [delivered, refused, deferred, toWallet, reminded, cancelled];
  const alive = [delivered, toWallet, reminded, cancelled];
  await eventually(
    async () => {
      expect(await statesOf(alive)).toEqual(alive.map(() => 'delivered'));
      expect(await deadLetters(system.emulator, { deadLetterName: `${system.queueName}-dlq` })).toHaveLength(
        2,
      );
    },
    { timeoutMs: 20_000 },
  );
  const mail = system.mail.mails().find(({ to }) => to.includes(emails.delivered));
  expect(mail?.text).toContain(message);
  const errorBodies = await provokeErrors(api, mail?.link ?? '');
  await passHalfTheirTime(system.database.db, [reminded]);
  const schedule = await system.startApi(tracing);
  await expectMails(system, emails.reminded, ['sent you a gift', 'expires soon']);
  expect(await schedule.stop()).toBe(0);
  const changes = [await resend(system, api, delivered), await cancel(system, api, cancelled)];
  await expectMails(system, emails.delivered, ['sent you a gift', 'sent again']);
  const form = await claimByForm(system, api, reminded);
  const codes = [await claim(system, api, delivered), form.code];
  const read = await readBack(api, delivered);
  const metrics = await Promise.all(
    [api, consumer].map(async ({ metricsUrl }) => (await fetch(metricsUrl)).text()),
  );
  const reconciler = await system.reconcile(tracing);
  expect(await consumer.stop()).toBe(0);
  expect(await api.stop()).toBe(0);

  const places: Record<string, string> = {
    'the log of the API': `${api.output()}\n${schedule.output()}`,
    'the log of the consumer': consumer.output(),
    'the log of the reconciler': reconciler.output(),
    'the spans': spans.received(),
    'the metrics': metrics.join('\n'),
    'the error bodies': errorBodies.join('\n'),
    'timeline, dead letters and queues': read,
    'the answers to resend and cancel': changes.join('\n'),
    'the page of a second claim': form.refusalPage,
    'the queue messages': JSON.stringify(sqsRequests(system)),
    'the records': await records(),
  };
  const needles = [...(await secretsOf(ids)), ...codes, ...personal(), system.sender.key, smtpPassword];
  for (const [place, text] of Object.entries(places)) {
    const found = needles.filter((needle) => text.toLowerCase().includes(needle.toLowerCase()));
    expect({ place, found }).toEqual({ place, found: [] });
  }
  expectThatItWasAFullRun(places, ids, mail);
}, 90_000);

/** The search proves nothing if nobody had anything to say. */
function expectThatItWasAFullRun(
  places: Record<string, string>,
  ids: GiftId[],
  mail: ReceivedMail | undefined,
): void {
  for (const id of ids) {
    expect(places['the log of the API']).toContain(id);
    expect(places['the log of the consumer']).toContain(id);
    expect(places['the queue messages']).toContain(id);
  }
  expect(places['the log of the consumer']).toContain('recipient_refused');
  expect(places['the log of the consumer']).toContain('mail_deferred');
  expect(places['the log of the reconciler']).not.toBe('');
  expect(spans.spans().map(({ name }) => name)).toEqual(
    expect.arrayContaining(['send mail', `process ${system.queueName}`, `send ${system.queueName}`]),
  );
  expect(places['the metrics']).toContain('largesse_gifts_dead_lettered_total');
  // And the person it was for could read all of it.
  expect(mail?.subject).toContain(senderName);
}

function personal(): string[] {
  const people = Object.values(emails).flatMap((email) => [email, email.split('@')[0] ?? email]);
  const addresses = [wallet, wrongChecksum, wallet.slice(2)];
  return [...people, ...addresses, message, senderName, ...people.map(encodeURIComponent)];
}

/** Tokens and codes, in every spelling that leads to them. */
async function secretsOf(ids: GiftId[]): Promise<string[]> {
  const { rows } = await system.database.pool.query<{ code_salt: Buffer }>('select code_salt from vouchers');
  const codes = rows.map(({ code_salt }) => codeOf(system.keyring, code_salt));
  const tokens = ids.map((id) => claimToken(system.keyring, id, 1));
  expect(codes.length).toBeGreaterThan(0);
  return [
    ...codes,
    ...codes.map((code) => code.replaceAll('-', '').slice(0, 20)),
    ...tokens,
    ...tokens.map((token) => token.slice(30)),
  ];
}

async function provokeErrors(api: ApiProcess, link: string): Promise<string[]> {
  const { sender } = system;
  const token = link.slice(link.lastIndexOf('/') + 1);
  const wrongToken = `${token.slice(0, -3)}zzz`;
  const wrongKey = { key: `${sender.key.slice(0, -3)}zzz` };
  const { key } = sender;
  const answers = await Promise.all([
    postJson(api, sender, '/v1/gifts', giftFor(emails.invalid)),
    postJson(api, sender, '/v1/gifts', {
      ...giftFor(''),
      recipient: { type: 'wallet', address: wrongChecksum },
    }),
    postJson(api, sender, '/v1/gifts', {
      ...giftFor(emails.delivered),
      value: { amount: -1, currency: 'EUR' },
    }),
    postJson(api, sender, '/v1/gifts', { ...giftFor(emails.delivered), [emails.delivered]: wallet }),
    postJson(api, sender, '/v1/gifts', `{"recipient": "${emails.delivered}", ${message}`),
    postJson(api, sender, `/v1/gifts/${encodeURIComponent(emails.delivered)}/cancel`, {}),
    postJson(api, wrongKey, '/v1/gifts', giftFor(emails.delivered)),
    postJson(api, null, '/v1/gifts', giftFor(emails.delivered)),
    postJson(api, null, '/v1/claims', { token: wrongToken }),
    postJson(api, null, '/v1/claims', { token: 42, email: emails.delivered }),
    getText(api, `/claim/${wrongToken}`),
    getText(api, `/v1/gifts?after=${encodeURIComponent(emails.delivered)}`, key),
    getText(api, `/v1/nowhere/${emails.delivered}`, key),
  ]);
  for (const { status } of answers) expect(status).toBeGreaterThanOrEqual(400);
  for (const { status } of answers) expect(status).toBeLessThan(500);
  return answers.map(({ text }) => text);
}

async function readBack(api: ApiProcess, id: GiftId): Promise<string> {
  const { key } = system.sender;
  // Not the gift itself: of a wallet gift it shows the sender the link that they are to publish.
  const paths = [`/v1/gifts/${id}/timeline`, '/v1/dead-letters', '/v1/queues'];
  const answers = await Promise.all(paths.map((path) => getText(api, path, key)));
  expect(answers.map(({ status }) => status)).toEqual(paths.map(() => 200));
  return answers.map(({ text }) => text).join('\n');
}

function sqsRequests({ apiProxy, consumerProxy }: System): unknown[] {
  const operations = ['SendMessageBatch', 'DeleteMessageBatch', 'ChangeMessageVisibilityBatch'];
  return [apiProxy, consumerProxy].flatMap((proxy) =>
    operations.flatMap((operation) => proxy.bodies(operation)),
  );
}

/** Events, attempts, dead letters, outbox: what is kept to be shown or sent. */
async function records(): Promise<string> {
  const tables = ['audit_records', 'delivery_attempts', 'dead_letters', 'outbox', 'reconciler_runs'];
  const rows = await Promise.all(
    tables.map(async (table) => (await system.database.pool.query(`select * from ${table}`)).rows),
  );
  expect(rows[0]?.length).toBeGreaterThan(0);
  return JSON.stringify(rows);
}

async function statesOf(ids: GiftId[]): Promise<string[]> {
  const { rows } = await system.database.pool.query('select state from gifts where id = any ($1)', [
    ids.map((id) => toUuid(id)),
  ]);
  return rows.map(({ state }) => state as string);
}
