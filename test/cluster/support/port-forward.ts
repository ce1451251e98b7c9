import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import type { Namespace } from './namespace.ts';

export interface PortForward {
  url: string;
  close: () => Promise<void>;
}

/**
 * A way from here to a port of a Service, as any cluster offers it. kubectl ends when its connection to the API server does, as on a busy
 * machine: then it is started again on the same port, and what was asked meanwhile is refused.
 */
export async function forward(
  namespace: Namespace,
  service: string,
  port: number,
  type = 'service',
): Promise<PortForward> {
  const args = ['--namespace', namespace.name, 'port-forward', `${type}/${service}`];
  let closed = false;
  let current = start([...args, `:${port}`]);
  const local = await current.opened;
  const kept = (async () => {
    for (;;) {
      await current.ended;
      if (!closed) await wait(500);
      if (closed) return;
      current = start([...args, `${local}:${port}`]);
      // Why it did not open is said by whoever asks in vain.
      current.opened.catch(() => undefined);
    }
  })();
  return {
    url: `http://127.0.0.1:${local}`,
    close: () => {
      closed = true;
      current.child.kill();
      return kept;
    },
  };
}

interface Started {
  child: ChildProcess;
  /** its port on this side */
  opened: Promise<string>;
  ended: Promise<void>;
}

function start(args: readonly string[]): Started {
  const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const said = { text: '' };
  const opened = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said.text += text;
        const local = /127\.0\.0\.1:(\d+)/.exec(said.text)?.[1];
        if (local !== undefined) resolve(local);
      });
    }
    void ended.then(() => reject(new Error(`kubectl ${args.join(' ')} ended: ${said.text}`)));
  });
  return { child, opened, ended };
}
