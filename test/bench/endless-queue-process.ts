import { startEndlessQueue } from '../support/endless-queue.ts';

/** Runs the queue in a process of its own, so that it does not compete with the measured consumer for one event loop. */
const queue = await startEndlessQueue({ latencyMs: Number(process.argv[2] ?? 0) });
process.send?.({ endpoint: queue.endpoint, url: queue.url, deadLetterUrl: queue.deadLetterUrl });
process.on('disconnect', () => process.exit(0));
