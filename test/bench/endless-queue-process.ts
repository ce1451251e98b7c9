import { startEndlessQueue } from '../support/endless-queue.ts';

/** Runs the queue in a process of its own, so that it does not compete with the measured consumer for one event loop. */
const queue = await startEndlessQueue({ latencyMs: Number(process.argv[2] ?? 0) });
process.send?.({ endpoint: queue.endpoint, url: queue.url, deadLetterUrl: queue.deadLetterUrl });
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system });
});
process.on('disconnect', () => process.exit(0));
