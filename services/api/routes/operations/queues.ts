import type { RequestHandler } from 'express';
import { z } from 'zod';
import {
  countRecent,
  type OldestAges,
  type RecentCounts,
  readOldestAges,
} from '../../../database/queries/queue-activity.ts';
import { type QueuePause, readPauses } from '../../../database/queries/queue-pauses.ts';
import type { ApiDeps } from '../../deps.ts';
import type { QueueReport } from '../../queue-report.ts';

const rateWindowSeconds = 300;

const depth = z
  .object({ visible: z.int(), in_flight: z.int(), delayed: z.int() })
  .nullable()
  .meta({ description: 'Approximate, up to a minute old; null while SQS can not be asked' });

const oldest = z.number().nullable().meta({
  description:
    'How long somebody has waited for a gift, resend or reminder here, whatever was tried meanwhile, as Postgres knows; of dead letters: since the oldest came there. Null when it knows of none',
});

const capability = z.boolean().nullable();

const capabilities = z.object({ message_group_ids: capability, trace_headers: capability }).meta({
  description:
    'What the queue takes besides the message, as the answering process found out by sending; null while it has sent nothing with it. Without group ids senders have no fair shares, without trace headers traces end before the queue',
});

const refusal = z
  .object({
    reason: z.string(),
    owner: z.enum(['message', 'us', 'peer', 'unknown']),
    seconds: z.number(),
  })
  .nullable()
  .meta({
    description:
      'Why the queue takes nothing from the answering process, whose fault that is (`us`: permissions, keys, settings; `peer`: SQS) and for how long; null while it takes messages. All of them wait in the outbox meanwhile',
  });

const paused = z
  .object({
    consumers: z.int(),
    owner: z.enum(['item', 'us', 'peer', 'unknown']),
    code: z.string(),
    reason: z.string(),
    since: z.iso.datetime(),
    next_probe_seconds: z.number(),
  })
  .nullable()
  .meta({
    description:
      'Why consumers take nothing from the queue at the moment, whose fault that is and for how many of them; null while they do. Everything waits meanwhile, and one delivery at a time is tried until one succeeds',
  });

const perMinute = z.number().meta({ description: 'Mean of the last 5 minutes' });

export const queuesSchema = z
  .object({
    data: z.array(
      z.object({
        name: z.string(),
        messages: depth,
        oldest_seconds: oldest,
        capabilities,
        limitations: z.array(z.string()).meta({
          description: 'What could not be verified of the queue because its server does not tell it',
        }),
        refusal,
        paused,
        dead_letters: z.object({ name: z.string(), messages: depth, oldest_seconds: oldest }),
      }),
    ),
    rates: z
      .object({
        accepted_per_minute: perMinute,
        delivered_per_minute: perMinute,
        dead_lettered_per_minute: perMinute,
      })
      .meta({ description: 'Gifts accepted, gifts delivered, deliveries given up to the dead-letter queue' }),
    gifts: z.object({ queued: z.int(), delivering: z.int(), oldest_seconds: z.number().nullable() }).meta({
      description: 'Gifts under way, counted up to 10,000; the age is that of the one longest in its state',
    }),
    outbox: z.object({ pending: z.int(), parked: z.int(), lag_seconds: z.number() }).meta({
      description:
        'Rows not yet published, counted up to 10,000, and the age of the oldest; parked ones can not be published and wait for a person, and count to the age',
    }),
  })
  .meta({ id: 'Queues' });

export function readQueues(deps: ApiDeps): RequestHandler {
  return async (_request, response) => {
    const [report, ages, recent, pauses] = await Promise.all([
      deps.queues(),
      readOldestAges(deps.reads),
      countRecent(deps.reads, rateWindowSeconds),
      readPauses(deps.reads),
    ]);
    response.json({
      data: report.queues.map((queue) => queueResource(queue, ages, pauses)),
      rates: ratesResource(recent),
      gifts: {
        queued: report.gifts.queued,
        delivering: report.gifts.delivering,
        oldest_seconds: report.gifts.oldestSeconds,
      },
      outbox: {
        pending: report.outbox.pending,
        parked: report.outbox.parked,
        lag_seconds: report.outbox.lagSeconds,
      },
    } satisfies QueuesResource);
  };
}

type QueuesResource = z.output<typeof queuesSchema>;

/** All gifts, resends and reminders go through one queue, so their ages are its ages. */
function queueResource(
  {
    name,
    depth: messages,
    capabilities: found,
    limitations: [...limitations],
    refusal: refused,
    deadLetters,
  }: QueueReport['queues'][number],
  ages: OldestAges,
  pauses: readonly QueuePause[],
): QueuesResource['data'][number] {
  return {
    name,
    messages: depthResource(messages),
    oldest_seconds: ages.waiting,
    capabilities: found,
    limitations: [...limitations],
    refusal: refused,
    paused: pausedResource(pauses.find(({ queue }) => queue === name)),
    dead_letters: {
      name: deadLetters.name,
      messages: depthResource(deadLetters.depth),
      oldest_seconds: ages.deadLettered,
    },
  };
}

function pausedResource(pause: QueuePause | undefined): QueuesResource['data'][number]['paused'] {
  if (pause === undefined) return null;
  const { consumers, owner, code, reason, since, nextProbeSeconds } = pause;
  return { consumers, owner, code, reason, since: since.toISOString(), next_probe_seconds: nextProbeSeconds };
}

function ratesResource({ accepted, delivered, deadLettered }: RecentCounts): QueuesResource['rates'] {
  const minutes = rateWindowSeconds / 60;
  return {
    accepted_per_minute: accepted / minutes,
    delivered_per_minute: delivered / minutes,
    dead_lettered_per_minute: deadLettered / minutes,
  };
}

function depthResource(found: QueueReport['queues'][number]['depth']): z.output<typeof depth> {
  return found && { visible: found.visible, in_flight: found.inFlight, delayed: found.delayed };
}
