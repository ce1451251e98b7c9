import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { toUuid } from '../../../services/domain/ids.ts';
import type { QueueInfo } from '../../../services/queue/provision.ts';
import type { QueueClients } from '../../../services/queue/sqs.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { type Emulator, startEmulator } from '../../support/emulator.ts';
import { eventually } from '../../support/eventually.ts';
import { accept, balances, draftGift, fundedSender, keyring } from '../../support/gifts.ts';
import { type MailServer, startMailServer } from '../../support/mail-server.ts';
import {
  createQueue,
  envelopes,
  metricValue,
  publish,
  startConsumer,
  type TestedConsumer,
  testQueueClients,
} from './consumer-under-test.ts';

let database: TestDatabase;
let emulator: Emulator;
let mail: MailServer;
let clients: QueueClients;
let queue: QueueInfo;
let consumer: TestedConsumer;

beforeAll(async () => {
  [database, emulator, mail] = await Promise.all([createTestDatabase(), startEmulator(), startMailServer()]);
  clients = testQueueClients(emulator.endpoint);
  queue = await createQueue(emulator.endpoint);
  consumer = startConsumer({ database, queue, endpoint: emulator.endpoint, smtpUrl: mail.url });
});

afterAll(async () => {
  await consumer.shutDown();
  clients.destroy();
  await mail.stop();
  await emulator.stop();
  await database.drop();
});

const stateOf = async (giftId: Parameters<typeof toUuid>[0]) =>
  (
    await database.db
      .selectFrom('gifts')
      .select('state')
      .where('id', '=', toUuid(giftId))
      .executeTakeFirstOrThrow()
  ).state;

describe('a gift by e-mail', () => {
  test('is mailed with its claim link, delivered, paid and acknowledged', async () => {
    const sender = await fundedSender(database.db, 10_000);
    const { gifts, outbox } = await accept(
      database.db,
      [draftGift(sender, { requestId: 'req-1' })],
      envelopes,
    );
    const [gift] = gifts;
    if (!gift) throw new Error('no gift');
    await publish(clients, queue, outbox);
    await eventually(async () => expect(await stateOf(gift.id)).toBe('delivered'));

    const [sent] = mail.mails().filter(({ to }) => to.includes('ada@example.com'));
    expect(sent?.subject).toBe('Charles sent you a gift of €25.00');
    expect(sent?.link).toBe(`https://gifts.example.com/claim/${claimToken(keyring, gift.id, 1)}`);
    expect(sent?.text).toContain('> Well done');
    expect(sent?.html).toContain('Well done');
    const delivery = await database.db
      .selectFrom('deliveries')
      .select(['id', 'state', 'attempts'])
      .where('gift_id', '=', toUuid(gift.id))
      .executeTakeFirstOrThrow();
    expect(delivery).toMatchObject({ state: 'sent', attempts: 1 });
    expect(sent?.messageId).toMatch(/^<dlv_[0-9a-z]{26}@mail\.example\.com>$/);
    expect(sent?.headers.get('auto-submitted')).toBe('auto-generated');

    expect(await balances(database.db, sender)).toMatchObject({ available: 7_500, reserved: 0, total: 0 });
    await eventually(async () => {
      const { ready, inflight } = await emulator.inspect(queue.name);
      expect([ready.length, inflight.length]).toEqual([0, 0]);
    });
    const [line] = consumer.lines().filter((entry) => entry['gift_id'] === gift.id);
    expect(line).toMatchObject({
      event: 'message_handled',
      result: 'delivered',
      outcome: 'done',
      request_id: 'req-1',
      attempt: 1,
      receive_count: 1,
      purpose: 'gift',
    });
    expect(typeof line?.['message_id']).toBe('string');
    expect(typeof line?.['duration_ms']).toBe('number');
    expect(await metricValue(consumer.metrics, 'gifts_processed_total', { outcome: 'delivered' })).toBe(1);
    expect(await metricValue(consumer.metrics, 'mails_sent_total', { outcome: 'sent' })).toBe(1);
  });
});
