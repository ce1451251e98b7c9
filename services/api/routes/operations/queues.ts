import type { RequestHandler } from 'express';
import { z } from 'zod';
import type { ApiDeps } from '../../deps.ts';

const depth = z
  .object({ visible: z.int(), in_flight: z.int(), delayed: z.int() })
  .nullable()
  .meta({ description: 'Approximate, up to a minute old; null while SQS can not be asked' });

export const queuesSchema = z
  .object({
    data: z.array(
      z.object({
        name: z.string(),
        messages: depth,
        dead_letters: z.object({ name: z.string(), messages: depth }),
      }),
    ),
    gifts: z
      .object({ queued: z.int(), delivering: z.int(), oldest_seconds: z.number().nullable() })
      .meta({ description: 'Gifts under way; the age is that of the one longest in its state' }),
    outbox: z
      .object({ pending: z.int(), parked: z.int(), lag_seconds: z.number() })
      .meta({ description: 'Rows not yet published; parked ones can not be and wait for a person' }),
  })
  .meta({ id: 'Queues' });

export function readQueues(deps: ApiDeps): RequestHandler {
  return async (_request, response) => {
    const report = await deps.queues();
    response.json({
      data: report.queues.map((queue) => ({
        name: queue.name,
        messages: depthResource(queue.depth),
        dead_letters: { name: queue.deadLetters.name, messages: depthResource(queue.deadLetters.depth) },
      })),
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
    } satisfies z.output<typeof queuesSchema>);
  };
}

type Depth = Awaited<ReturnType<ApiDeps['queues']>>['queues'][number]['depth'];

function depthResource(found: Depth): z.output<typeof depth> {
  return found && { visible: found.visible, in_flight: found.inFlight, delayed: found.delayed };
}
