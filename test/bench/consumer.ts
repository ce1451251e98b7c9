import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SQS } from '@aws-sdk/client-sqs';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { Consumer } from 'sqs-consumer';
import { Squiss } from 'squiss-ts';
import { QueueConsumer } from '../../services/queue/queue-consumer.ts';
import { SendAbilities } from '../../services/queue/send-abilities.ts';

export interface ConsumerBenchRow {
  runtime: string;
  mix: string;
  messagesPerSecond: number;
  requestsPerMessage: number;
  /** Of this process: runtime, SDK and HTTP. */
  cpuPerMessageMicros: number;
  /** Share of one core that the local queue used: near 1 it was the limit, not the runtime. */
  queueLoad: number;
}

interface Source {
  endpoint: string;
  url: string;
  deadLetterUrl: string;
  child: ChildProcess;
}

interface Contestant {
  name: string;
  /** Starts consuming and answers how to stop. */
  start(source: Source, work: () => Promise<void>, requests: Counter): Promise<() => Promise<unknown>>;
}

interface Counter {
  count: number;
}

const maxInFlight = 100;
const region = 'eu-central-1';
const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench' };

interface Mix {
  name: string;
  /** What the queue takes for each request: 0 is a machine of one's own, 10 ms is SQS within a region. */
  latencyMs: number;
  durationMs: (serial: number) => number;
}

const tail = (serial: number) => (serial % 10 === 0 ? 500 : 20);
const mixes: Mix[] = [
  { name: '0 ms', latencyMs: 0, durationMs: () => 0 },
  { name: '20 ms', latencyMs: 0, durationMs: () => 20 },
  { name: 'tail (1 in 10: 500 ms, rest 20 ms)', latencyMs: 0, durationMs: tail },
  { name: 'tail, requests take 10 ms', latencyMs: 10, durationMs: tail },
];

/** Every contestant's HTTP requests pass through here and are counted alike, retries and all. */
class CountingHandler extends NodeHttpHandler {
  readonly #counter: Counter;
  constructor(counter: Counter) {
    super({ httpAgent: { keepAlive: true, maxSockets: 64 } });
    this.#counter = counter;
  }
  override handle(...args: Parameters<NodeHttpHandler['handle']>) {
    this.#counter.count += 1;
    return super.handle(...args);
  }
}

const createClient = (source: Source, counter: Counter) =>
  new SQS({
    region,
    credentials,
    endpoint: source.endpoint,
    md5: false,
    requestHandler: new CountingHandler(counter),
  });

const contestants: Contestant[] = [
  {
    name: 'sqs-consumer',
    async start(source, work, requests) {
      const sqs = createClient(source, requests);
      const consumer = Consumer.create({
        queueUrl: source.url,
        sqs,
        batchSize: 10,
        handleMessageBatch: async (messages) => {
          await Promise.all(messages.map(work));
          return messages;
        },
      });
      consumer.on('error', () => undefined);
      consumer.start();
      return async () => {
        consumer.stop({ abort: true });
        sqs.destroy();
      };
    },
  },
  {
    name: 'squiss-ts',
    async start(source, work, requests) {
      const SQS = createClient(source, requests);
      const squiss = new Squiss({
        queueUrl: source.url,
        SQS,
        maxInFlight,
        receiveBatchSize: 10,
        bodyFormat: 'plain',
      });
      squiss.on('error', () => undefined);
      squiss.on('message', (message) => {
        work().then(
          () => message.del(),
          () => undefined,
        );
      });
      await squiss.start();
      return async () => {
        await squiss.stop(false, 1_000);
        SQS.destroy();
      };
    },
  },
  {
    name: 'largesse',
    async start(source, work, requests) {
      const clients = {
        receiving: createClient(source, requests),
        settling: createClient(source, requests),
        abilities: new SendAbilities(),
        destroy() {
          this.receiving.destroy();
          this.settling.destroy();
        },
      };
      const consumer = new QueueConsumer({
        clients,
        queue: {
          name: 'bench',
          url: source.url,
          deadLetterUrl: source.deadLetterUrl,
          visibilityTimeoutSeconds: 30,
        },
        maxInFlight,
        waitTimeSeconds: 1,
        graceMs: 3_000,
        handler: async () => {
          await work();
          return { kind: 'done' };
        },
      });
      consumer.start();
      return async () => {
        await consumer.stop();
        clients.destroy();
      };
    },
  },
];

/** Prints and returns every runtime beside every mix, all against the same queue in one run; about a minute. */
export async function run({ warmUpMs = 1_000, measureMs = 3_500 } = {}): Promise<ConsumerBenchRow[]> {
  console.log(
    `Node ${process.version}, ${availableParallelism()} cores; window ${maxInFlight}, ${measureMs} ms per figure`,
  );
  console.log(
    'A local queue in a process of its own that always has messages; HTTP requests counted at the client.\n',
  );
  const rows: ConsumerBenchRow[] = [];
  for (const mix of mixes) {
    const source = await startSource(mix.latencyMs);
    try {
      for (const contestant of contestants) {
        const row = await measure(source, contestant, mix, { warmUpMs, measureMs });
        rows.push(row);
        print(row);
      }
    } finally {
      source.child.disconnect();
    }
  }
  return rows;
}

async function measure(
  source: Source,
  contestant: Contestant,
  mix: Mix,
  { warmUpMs, measureMs }: { warmUpMs: number; measureMs: number },
): Promise<ConsumerBenchRow> {
  const requests: Counter = { count: 0 };
  let serial = 0;
  let handled = 0;
  const work = async () => {
    serial += 1;
    const durationMs = mix.durationMs(serial);
    if (durationMs > 0) await wait(durationMs);
    handled += 1;
  };
  const stop = await contestant.start(source, work, requests);
  await wait(warmUpMs);
  const queueCpuBefore = await queueCpuMicros(source);
  const before = { handled, requests: requests.count, at: performance.now(), cpu: process.cpuUsage() };
  await wait(measureMs);
  const messages = handled - before.handled;
  const requestCount = requests.count - before.requests;
  const elapsedMs = performance.now() - before.at;
  const cpu = process.cpuUsage(before.cpu);
  const queueCpu = (await queueCpuMicros(source)) - queueCpuBefore;
  await stop();
  return {
    runtime: contestant.name,
    mix: mix.name,
    messagesPerSecond: Math.round((messages * 1_000) / elapsedMs),
    requestsPerMessage: Number((requestCount / messages).toFixed(3)),
    cpuPerMessageMicros: Math.round((cpu.user + cpu.system) / messages),
    queueLoad: Number((queueCpu / 1_000 / elapsedMs).toFixed(2)),
  };
}

function queueCpuMicros({ child }: Source): Promise<number> {
  return new Promise((resolve) => {
    child.once('message', (answer) => resolve((answer as { cpuMicros: number }).cpuMicros));
    child.send('cpu');
  });
}

function print(row: ConsumerBenchRow): void {
  const { mix, runtime, messagesPerSecond, requestsPerMessage, cpuPerMessageMicros, queueLoad } = row;
  const bound =
    queueLoad > 0.8 ? `  (the local queue is the limit: ${Math.round(queueLoad * 100)} % of a core)` : '';
  console.log(
    `${mix.padEnd(36)} ${runtime.padEnd(13)} ${String(messagesPerSecond).padStart(6)} msg/s  ` +
      `${requestsPerMessage.toFixed(3)} requests/message  ${String(cpuPerMessageMicros).padStart(5)} µs CPU/message${bound}`,
  );
}

function startSource(latencyMs: number): Promise<Source> {
  const file = fileURLToPath(new URL('./endless-queue-process.ts', import.meta.url));
  const child = fork(file, [String(latencyMs)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return new Promise((resolve, reject) => {
    child.once('message', (where) => resolve({ ...(where as Omit<Source, 'child'>), child }));
    child.once('exit', (code) => reject(new Error(`the queue process ended with ${code}`)));
  });
}

if (import.meta.filename === process.argv[1]) await run();
