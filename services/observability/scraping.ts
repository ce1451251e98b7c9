import type { Counter, Registry } from 'prom-client';

/** Prometheus gives up after 10 s: what a scrape reads elsewhere (a database, a queue) has to be done well before. */
const COLLECT_TIMEOUT_MS = 3_000;

/** What happens at a scrape: gauges that nothing sets by itself are read, each within its time. */
export function scraping(registry: Registry, failures: Counter) {
  const collectors = new Set<() => unknown>();
  return {
    /** Runs `collect` before each scrape, to set gauges that nothing sets by itself. Its failure costs its gauges only. */
    onScrape: (collect: () => unknown) => {
      collectors.add(collect);
      return () => void collectors.delete(collect);
    },
    /** The exposition, in the shape that the admin server takes. */
    render: async () => {
      await Promise.all([...collectors].map((collect) => bounded(collect).catch(() => failures.inc())));
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

async function bounded(collect: () => unknown): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(reject, COLLECT_TIMEOUT_MS, new Error('too late for the scrape'));
  try {
    await Promise.race([(async () => collect())(), late]);
  } finally {
    clearTimeout(timer);
  }
}
