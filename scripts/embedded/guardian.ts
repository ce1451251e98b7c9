/**
 * Outlives the supervisor of `npm start` for as long as it takes to stop the parts: `node scripts/embedded/guardian.ts`.
 *
 * A supervisor that is killed with SIGKILL can stop nothing itself, and its parts would go on without anybody to read
 * what they print or to restart them. This process holds the other end of a pipe: the kernel closes it with the
 * supervisor, however that ended, and then every recorded part is stopped in the usual order.
 */
import { readJson } from './folder.ts';
import { type ProcessRecord, stopLeftovers } from './processes.ts';
import { STOP_ORDER } from './stop-order.ts';

// The terminal's Ctrl-C and `npm stop` are the supervisor's to answer.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);

process.stdin.resume();
process.stdin.once('error', () => undefined).once('close', () => void stopParts());

async function stopParts(): Promise<void> {
  const records = readJson<ProcessRecord[]>('processes.json') ?? [];
  for (const name of STOP_ORDER) await stopLeftovers(records.filter((record) => record.name === name));
}
