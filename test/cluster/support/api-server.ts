import { join } from 'node:path';
import { run } from './command.ts';

/**
 * Kills the API server of a cluster that was brought up here, and brings it up again.
 * @returns whether it was: of another cluster it is not ours to kill
 */
export async function restartApiServer(): Promise<boolean> {
  const tools = process.env['CLUSTER_TOOLS'];
  if (!tools) return false;
  const status = await run(join(tools, 'status'), []);
  const pid = Number(/^kube-apiserver\s+pid (\d+)/m.exec(status)?.[1]);
  if (!pid) return false;
  process.kill(pid, 'SIGKILL');
  await run(join(tools, 'up'), []);
  return true;
}
