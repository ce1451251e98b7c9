import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Ends a process that a benchmark started, and waits for it: one that was forked by closing its channel, any other by SIGTERM. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  if (child.connected) child.disconnect();
  else child.kill('SIGTERM');
  await exited;
}
