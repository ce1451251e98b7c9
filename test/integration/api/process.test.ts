import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { type ApiProcess, acceptOverHttp, createSystem, type System } from '../crash/system.ts';

let system: System;
let api: ApiProcess;
beforeAll(async () => {
  system = await createSystem();
  api = await system.startApi();
});
afterAll(() => system.end());

const gift = {
  value: { amount: 100, currency: 'EUR' },
  recipient: { type: 'email', email: 'ada@example.com' },
};

const inQueue = async () => (await system.emulator.inspect(system.queueName)).ready.length;

describe('the process', () => {
  test('a gift reaches the queue as an envelope of ids', async () => {
    const [id] = await acceptOverHttp(api, system.sender, [gift]);
    const message = await eventually(async () => {
      const { ready } = await system.emulator.inspect(system.queueName);
      expect(ready).toHaveLength(1);
      return ready[0];
    });
    expect(JSON.parse(message?.body ?? '')).toEqual({
      type: 'gift.deliver',
      version: 1,
      id,
      occurred_at: expect.any(String),
      attempt_hint: 0,
      request_id: expect.any(String),
    });
  });

  test('G1: with SQS away gifts are accepted as ever, and are published when it is back', async () => {
    const before = await inQueue();
    await system.apiProxy.goDown();
    const ids = await acceptOverHttp(
      api,
      system.sender,
      Array.from({ length: 20 }, () => gift),
    );
    expect(new Set(ids).size).toBe(20);
    await system.apiProxy.comeBack();
    await eventually(async () => expect(await inQueue()).toBeGreaterThanOrEqual(before + 20), {
      timeoutMs: 25_000,
    });
  });

  test('metrics are served on a port of their own, and say what happened', async () => {
    const text = await (await fetch(api.metricsUrl)).text();
    expect(text).toMatch(/largesse_gifts_accepted_total\{recipient_type="email",service="api"\} 21/);
    expect(text).toMatch(/largesse_outbox_rows\{state="pending",service="api"\} \d+/);
    expect(text).toMatch(/largesse_sqs_requests_total\{operation="SendMessageBatch"/);
    expect((await fetch(`${api.url}/metrics`)).status).toBe(404);
  });

  test('the operator sees the depths of the queues, their ages and the rates', async () => {
    const answer = await fetch(`${api.url}/v1/queues`, {
      headers: { authorization: `Bearer ${system.sender.key}` },
    });
    const body = (await answer.json()) as {
      data: { name: string; messages: object; oldest_seconds: number }[];
      gifts: { queued: number };
    };
    expect(body.data[0]).toMatchObject({
      name: system.queueName,
      messages: { in_flight: 0, delayed: 0 },
      dead_letters: { name: `${system.queueName}-dlq`, messages: { visible: 0 }, oldest_seconds: null },
    });
    expect(body.data[0]?.oldest_seconds).toBeGreaterThan(0);
    expect(body).toMatchObject({ rates: { accepted_per_minute: 21 / 5, delivered_per_minute: 0 } });
    expect(body.gifts.queued).toBe(21);
  });

  test('SIGTERM: requests under way are answered, their messages sent, and the exit code is 0', async () => {
    const answers = Promise.all(Array.from({ length: 10 }, () => acceptOverHttp(api, system.sender, [gift])));
    const ids = (await answers).flat();
    expect(await api.stop()).toBe(0);
    expect(ids).toHaveLength(10);
    const { ready } = await system.emulator.inspect(system.queueName);
    const sent = ready.map(({ body }) => (JSON.parse(body) as { id: string }).id);
    // What was on its way when SQS went away above may be sent once more at any time.
    expect(sent.filter((id) => new Set<string>(ids).has(id)).toSorted()).toEqual(ids.toSorted());
    expect(api.output()).not.toMatch(/shutdown_step_failed|process_failed/);
  });

  test('SIGTERM: a connection on which nothing was ever sent does not hold up the end', async () => {
    const fresh = await system.startApi();
    const socket = connect(Number(new URL(fresh.url).port), '127.0.0.1');
    await once(socket, 'connect');
    // Another request on its way tells that the server has taken the silent one, too.
    await acceptOverHttp(fresh, system.sender, [gift]);
    expect(await fresh.stop()).toBe(0);
    expect(fresh.output()).not.toContain('shutdown_step_failed');
    socket.destroy();
  });

  test('SIGTERM: a connection that is kept alive does not hold up the end once its request is answered', async () => {
    const fresh = await system.startApi();
    const { port } = new URL(fresh.url);
    const body = JSON.stringify(gift);
    const socket = connect(Number(port), '127.0.0.1');
    let answered = '';
    socket.on('data', (chunk) => {
      answered += String(chunk);
    });
    socket.write(
      [
        'POST /v1/gifts HTTP/1.1',
        'host: localhost',
        `authorization: Bearer ${system.sender.key}`,
        'idempotency-key: slow-body',
        'content-type: application/json',
        `content-length: ${body.length}`,
        '',
        body.slice(0, 10),
      ].join('\r\n'),
    );
    await wait(200);
    const stopped = fresh.stop();
    await fresh.logged('shutdown_started');
    socket.write(body.slice(10));
    expect(await stopped).toBe(0);
    expect(answered).toMatch(/^HTTP\/1.1 202 /);
    expect(fresh.output()).not.toContain('shutdown_step_failed');
  });

  test('a wrong environment is told whole, and exits with 2', async () => {
    const { startRole } = await import('../../support/role-process.ts');
    const wrong = startRole('api', [], { DATABASE_URL: 'mysql://x', PORT: 'eighty' });
    expect(await wrong.ended).toBe(2);
    for (const name of ['DATABASE_URL', 'PORT', 'AWS_REGION', 'KEYRING_FILE', 'PUBLIC_URL']) {
      expect(wrong.output()).toContain(`  ${name}: `);
    }
  });
});
