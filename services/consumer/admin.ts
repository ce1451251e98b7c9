import type { DatabaseClient } from '../database/client.ts';
import { pingDatabase } from '../database/ping.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type AdminServer, startAdminServer } from '../runtime/admin-server.ts';
import type { GiftsConsumer } from './gifts-consumer.ts';

export type AdminDeps = {
  metrics: Metrics;
  database: DatabaseClient;
  queueName: string;
  /** undefined while queue or schema are waited for */
  consumer: () => GiftsConsumer | undefined;
  stopping: AbortSignal;
};

/** `/metrics`, `/healthz` ("progress or idle") and `/readyz` (database and queue answer), from the first moment on. */
export function startAdmin(
  deps: AdminDeps,
  options: { port: number; host?: string | undefined },
): Promise<AdminServer> {
  const { metrics, database, consumer, stopping } = deps;
  metrics.onScrape(() => setGauges(deps));
  return startAdminServer(
    {
      metrics: metrics.render,
      // Before the queue is found there is nothing that a restart could cure.
      liveness: { queue: () => consumer()?.health() ?? { ok: true } },
      readiness: {
        database: () => pingDatabase(database.db),
        queue: () => {
          if (!consumer()?.health().reachable) throw new QueueNotReachedError();
        },
      },
      onReadiness: (check, ok) => metrics.readinessOk.set({ check }, ok ? 1 : 0),
      stopping,
    },
    options,
  );
}

class QueueNotReachedError extends Error {
  readonly code = 'queue_not_reached';
}

function setGauges({ metrics, database, queueName, consumer }: AdminDeps): void {
  metrics.messagesInFlight.set({ queue: queueName }, consumer()?.inFlight() ?? 0);
  const { totalCount, idleCount, waitingCount } = database.pool;
  const counts = { total: totalCount, idle: idleCount, waiting: waitingCount };
  for (const [state, count] of Object.entries(counts)) {
    metrics.poolConnections.set({ pool: 'main', state }, count);
  }
}
