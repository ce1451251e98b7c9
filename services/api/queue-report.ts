import type { Kysely } from 'kysely';
import { readGiftsUnderWay } from '../database/queries/gifts-under-way.ts';
import { readOutboxBacklog } from '../database/queries/outbox.ts';
import type { Database } from '../database/schema.ts';
import type { QueueInfo } from '../queue/provision.ts';
import { type QueueDepth, readQueueDepth } from '../queue/queue-depth.ts';
import type { Abilities } from '../queue/send-abilities.ts';
import type { QueueClients } from '../queue/sqs.ts';
import type { SendRefusal } from './send-watch.ts';

export type QueueReport = {
  queues: {
    name: string;
    depth: QueueDepth | null;
    /** what this process found that the queue takes; null while it has sent nothing with it */
    capabilities: Abilities;
    /** what could not be verified of it, in words */
    limitations: readonly string[];
    /** why it takes nothing from this process; null while it does */
    refusal: SendRefusal | null;
    deadLetters: { name: string; depth: QueueDepth | null };
  }[];
  /** what Postgres knows of the same: it counts exactly, and knows ages */
  gifts: Awaited<ReturnType<typeof readGiftsUnderWay>>;
  outbox: Awaited<ReturnType<typeof readOutboxBacklog>>;
};

/** Depths are null while SQS does not answer or the queue has not been found yet: the rest is still worth knowing. */
export async function readQueueReport(
  deps: {
    db: Kysely<Database>;
    clients: QueueClients;
    queue: () => QueueInfo | undefined;
    refusal: () => SendRefusal | null;
    /** told why a depth could not be read: the queue may be gone, and nobody sends to find out */
    onRefusal: (error: unknown) => void;
  },
  names: { queue: string; deadLetterQueue: string },
): Promise<QueueReport> {
  const queue = deps.queue();
  const depthOf = (url: string | undefined) =>
    url === undefined
      ? null
      : readQueueDepth(deps.clients, url).catch((error: unknown) => {
          deps.onRefusal(error);
          return null;
        });
  const [depth, deadDepth, gifts, outbox] = await Promise.all([
    depthOf(queue?.url),
    depthOf(queue?.deadLetterUrl),
    readGiftsUnderWay(deps.db),
    readOutboxBacklog(deps.db),
  ]);
  const own = {
    name: names.queue,
    depth,
    capabilities: deps.clients.abilities.read(queue?.url ?? ''),
    limitations: queue?.limitations ?? [],
    refusal: deps.refusal(),
    deadLetters: { name: names.deadLetterQueue, depth: deadDepth },
  };
  return {
    queues: [own],
    gifts,
    outbox,
  };
}
