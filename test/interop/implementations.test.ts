import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import type { GiftId } from '../../services/domain/ids.ts';
import { defaultPolicy } from '../../services/reconciler/default-policy.ts';
import { storyOf } from '../integration/consumer/world.ts';
import { type SpanCollector, startSpanCollector } from '../integration/crash/span-collector.ts';
import { acceptOverHttp, createSystem, giftBody, type System } from '../integration/crash/system.ts';
import { eventually } from '../support/eventually.ts';
import { type SqsImplementation, sqsImplementations } from './sqs-implementations.ts';

let policyFolder: string;
let policyFile: string;
const report: string[] = [];

beforeAll(async () => {
  policyFolder = await mkdtemp(join(tmpdir(), 'largesse-interop-'));
  policyFile = join(policyFolder, 'policy.yaml');
  await writeFile(policyFile, stringify(impatientPolicy()));
});
afterAll(async () => {
  await rm(policyFolder, { recursive: true });
  process.stderr.write(`\nThe main job on implementations of SQS:\n${report.join('\n')}\n`);
});

/** The built-in policy, which waits for no age: what it does is asked here, not when. */
function impatientPolicy(): typeof defaultPolicy {
  const { spec } = defaultPolicy;
  return {
    ...defaultPolicy,
    spec: {
      ...spec,
      limits: { ...spec.limits, quarantineMinAge: '1s' },
      rules: spec.rules.map((rule) =>
        rule.match.minAge === undefined ? rule : { ...rule, match: { ...rule.match, minAge: '1s' } },
      ),
    },
  };
}

for (const implementation of sqsImplementations) {
  const { name, missing } = implementation;
  if (missing === null) describe(name, () => mainJob(implementation));
  else {
    report.push(`NOT RUN: ${name}: ${missing}`);
    describe.skip(`${name} (NOT RUN: ${missing})`, () => mainJob(implementation));
  }
}

/** Recipients by what the mail server says to them. */
const recipients = ['fine-1', 'fine-2', 'fine-3', 'later', 'dead', 'refused'] as const;

function mainJob({ name, start, capabilities }: SqsImplementation): void {
  let system: System;
  let server: Awaited<ReturnType<typeof start>>;
  let collector: SpanCollector;

  beforeAll(async () => {
    [server, system, collector] = await Promise.all([start(), createSystem(), startSpanCollector()]);
    // The first use on a machine fetches the server.
  }, 400_000);
  afterEach(() => system?.mail.behave({ kind: 'accept' }));
  afterAll(async () => {
    await system?.end();
    await server?.stop();
    await collector?.stop();
  });

  test('accept, deliver, try again, dead-letter, redrive, quarantine: every gift ends right, and one mail is sent of each', async () => {
    const env = {
      AWS_ENDPOINT_URL_SQS: server.endpoint,
      MAX_RETRY_COUNT: '1',
      // Traced, because a trace header is one of the things that a queue may refuse.
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
    };
    let mended = false;
    let laterRefused = 0;
    system.mail.behave(({ at, to }) => {
      if (at !== 'recipient') return { kind: 'accept' };
      if (to.startsWith('refused')) return { kind: 'reply', at, code: 550 };
      const refuses = to.startsWith('later') ? laterRefused++ === 0 : to.startsWith('dead') && !mended;
      return refuses ? { kind: 'reply', at, code: 451 } : { kind: 'accept' };
    });
    const api = await system.startApi(env);
    const consumer = await system.startConsumer(env);
    const bodies = recipients.map((recipient, index) => ({
      ...giftBody(index),
      recipient: { type: 'email', email: `${recipient}@example.com` },
    }));
    const gifts = await acceptOverHttp(api, system.sender, bodies);
    const stateOf = async (recipient: (typeof recipients)[number]) =>
      (await storyOf(system.database, gifts[recipients.indexOf(recipient)] as GiftId)).gift.state;
    const delivered = async (...some: (typeof recipients)[number][]) => {
      expect(await Promise.all(some.map(stateOf))).toEqual(some.map(() => 'delivered'));
    };
    await eventually(() => delivered('fine-1', 'fine-2', 'fine-3', 'later'), { timeoutMs: 40_000 });
    await eventually(
      () => {
        const died = consumer.lines().filter((line) => line['result'] === 'dead_letter');
        expect(died).toHaveLength(2);
      },
      { timeoutMs: 40_000 },
    );
    mended = true;
    await eventually(
      async () => {
        const run = await system.reconcile({ ...env, DEAD_LETTER_POLICY_FILE: policyFile });
        expect([0, 1, 2]).toContain(await run.ended);
        await delivered('dead');
        expect(await stateOf('refused')).toBe('failed');
      },
      { timeoutMs: 60_000, intervalMs: 1_000 },
    );
    const mailed = system.mail.mails().flatMap((mail) => mail.to.map((to) => to.split('@')[0]));
    expect(mailed.toSorted()).toEqual(recipients.filter((recipient) => recipient !== 'refused').toSorted());
    const queues = await readQueues(api.url, system.sender.key);
    expect(queues.outbox).toMatchObject({ pending: 0, parked: 0 });
    expect(queues.data[0]).toMatchObject({ refusal: null, capabilities });
    expect(await consumer.stop()).toBe(0);
    expect(await api.stop()).toBe(0);
    const lacking = Object.entries(capabilities).flatMap(([ability, able]) => (able ? [] : [ability]));
    const { limitations } = queues.data[0] ?? {};
    report.push(
      [`ran: ${name}`, ...lacking.map((ability) => `without ${ability}`), ...(limitations ?? [])].join('; '),
    );
  }, 180_000);
}

type Queues = {
  data: { refusal: unknown; capabilities: unknown; limitations: string[] }[];
  outbox: { pending: number; parked: number };
};

async function readQueues(url: string, key: string): Promise<Queues> {
  const answer = await fetch(`${url}/v1/queues`, { headers: { authorization: `Bearer ${key}` } });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Queues;
}
