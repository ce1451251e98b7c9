import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { createDatabase } from '../../services/database/client.ts';
import { migrate } from '../../services/database/migrate.ts';
import { type GiftId, newUuid, toUuid } from '../../services/domain/ids.ts';
import { createOutboxWriter } from '../../services/domain/outbox.ts';
import { createLogger } from '../../services/observability/logger.ts';
import { composeMessage } from '../../services/queue/compose-message.ts';
import { encodeEnvelope } from '../../services/queue/envelope.ts';
import { sendMessages } from '../../services/queue/producer.ts';
import { createQueueClients } from '../../services/queue/sqs.ts';
import { defaultPolicy } from '../../services/reconciler/default-policy.ts';
import { logRun } from '../../services/reconciler/log-run.ts';
import type { Policy } from '../../services/reconciler/policy.ts';
import { readPolicy } from '../../services/reconciler/policy-document.ts';
import { reconcile } from '../../services/reconciler/reconcile.ts';
import type { ReconcilerDeps } from '../../services/reconciler/run.ts';
import { statusAfter } from '../../services/reconciler/status.ts';
import { accept, draftGift, fundedSender } from '../support/gifts.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { createQueuePair, type QueuePair } from '../support/queue-pair.ts';
import type { SqsEndpoint } from '../support/sqs-under-test.ts';

export interface ReconcileBenchRow {
  runtime: string;
  messages: number;
  messagesPerSecond: number;
  requestsPerMessage: number;
}

/**
 * Whole runs of the reconciler with its rate raised out of the way: scan, look-ups, verdict rows, retry budgets, audit
 * records, sends, deletes, sweep, and a log line per message. The long poll that confirms the end is left out.
 */
export async function run({ messages = 5_000 } = {}): Promise<ReconcileBenchRow[]> {
  const postgres = await startPostgres();
  const emulator = fork(fileURLToPath(new URL('./emulator-process.ts', import.meta.url)));
  const { db } = createDatabase({
    connectionString: postgres.url,
    poolMax: 10,
    applicationName: 'largesse-bench',
    statementTimeoutMs: 60_000,
  });
  try {
    const [sqs] = (await once(emulator, 'message')) as [SqsEndpoint];
    await migrate(db);
    await measure(db, sqs, 500);
    return [await measure(db, sqs, messages)];
  } finally {
    await db.destroy();
    if (emulator.connected) emulator.disconnect();
    if (emulator.exitCode === null) await once(emulator, 'exit');
    await postgres.stop();
  }
}

async function measure(
  db: ReconcilerDeps['db'],
  sqs: SqsEndpoint,
  messages: number,
): Promise<ReconcileBenchRow> {
  let requests = 0;
  const clients = createQueueClients({
    ...sqs,
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
    onRequest: () => {
      requests += 1;
    },
  });
  try {
    const queue = await createQueuePair(sqs);
    await bury({ db, clients }, queue, await deadGifts(db, messages));
    requests = 0;
    const clock = () => new Date();
    const log = createLogger({ service: 'bench', format: 'json', stream: nowhere() });
    const outbox = createOutboxWriter({ queue: queue.name, leaseSeconds: 0, clock, compose: composeMessage });
    const startedAt = performance.now();
    const silence = { retryCapMs: 900_000, leaseSeconds: 60 };
    const report = await reconcile(
      { db, clients, log, openClock: async () => clock, outbox, silence },
      unhindered(),
      {
        queueName: queue.name,
        dryRun: false,
        signal: new AbortController().signal,
        waitTimeSeconds: 0,
      },
    );
    await logRun(log, report, statusAfter(null, report, null), 'info');
    const seconds = (performance.now() - startedAt) / 1_000;
    await log.close();
    if (report.counts.redriven !== messages) {
      throw new Error(`redrove ${report.counts.redriven} of ${messages}: ${report.reasons.join('; ')}`);
    }
    return {
      runtime: 'largesse reconciler, whole run with Postgres',
      messages,
      messagesPerSecond: Math.round(messages / seconds),
      requestsPerMessage: Number((requests / messages).toFixed(2)),
    };
  } finally {
    clients.destroy();
  }
}

function unhindered(): Policy {
  const read = readPolicy(defaultPolicy);
  if ('problems' in read) throw new Error(read.problems.map(({ path }) => path).join());
  const rules = read.policy.rules.map((rule) => ({ ...rule, match: { ...rule.match, minAgeSeconds: 0 } }));
  return {
    ...read.policy,
    rules,
    limits: { maxMessages: 100_000, ratePerSecond: 100_000, maxRedrives: 3, quarantineMinAgeSeconds: 0 },
  };
}

/** Gifts as the consumer leaves them when their attempts are used up. */
async function deadGifts(db: ReconcilerDeps['db'], count: number): Promise<GiftId[]> {
  const sender = await fundedSender(db, count * 100);
  const ids: GiftId[] = [];
  for (let made = 0; made < count; made += 500) {
    const value = { amount: 100, currency: 'EUR' };
    const drafts = Array.from({ length: Math.min(500, count - made) }, () => draftGift(sender, { value }));
    const { gifts } = await accept(db, drafts);
    ids.push(...gifts.map(({ id }) => id));
  }
  const now = new Date();
  const died = {
    dead_lettered_at: now,
    failure_class: 'transient',
    failure_code: 'mail_unreachable',
  } as const;
  for (let start = 0; start < ids.length; start += 500) {
    const deliveries = ids.slice(start, start + 500).map((id) => ({
      id: newUuid(),
      gift_id: toUuid(id),
      purpose: 'gift' as const,
      channel: 'email' as const,
      state: 'deferred' as const,
      attempts: 6,
      lease_until: null,
      dead_lettered_at: now,
      state_changed_at: now,
    }));
    await db.insertInto('deliveries').values(deliveries).execute();
    const uuids = deliveries.map(({ gift_id }) => gift_id);
    await db.updateTable('gifts').set(died).where('id', 'in', uuids).execute();
  }
  return ids;
}

async function bury(
  deps: Pick<ReconcilerDeps, 'db' | 'clients'>,
  queue: QueuePair,
  ids: readonly GiftId[],
): Promise<void> {
  const attributes = {
    dead_letter_class: { DataType: 'String', StringValue: 'transient' },
    dead_letter_reason: { DataType: 'String', StringValue: 'mail_unreachable' },
  };
  const letters = ids.map((id) => ({
    body: encodeEnvelope({
      type: 'gift.deliver',
      version: 1,
      id,
      occurred_at: new Date().toISOString(),
      attempt_hint: 0,
    }),
    attributes,
  }));
  const sent = await sendMessages(deps.clients, queue.deadLetterUrl, letters);
  if (!sent.every(({ ok }) => ok)) throw new Error('the emulator did not take the dead letters');
}

function nowhere(): NodeJS.WritableStream {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}

if (import.meta.main) console.table(await run());
