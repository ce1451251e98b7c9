import { spawn } from 'node:child_process';
import type { Namespace } from './namespace.ts';

export interface PortForward {
  url: string;
  close: () => Promise<void>;
}

/** A way from here to a port of a Service, as any cluster offers it. */
export async function forward(
  namespace: Namespace,
  service: string,
  port: number,
  type = 'service',
): Promise<PortForward> {
  const args = ['--namespace', namespace.name, 'port-forward', `${type}/${service}`, `:${port}`];
  const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const said = { text: '' };
  const opened = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said.text += text;
        const local = /127\.0\.0\.1:(\d+)/.exec(said.text)?.[1];
        if (local !== undefined) resolve(`http://127.0.0.1:${local}`);
      });
    }
    void ended.then(() => reject(new Error(`kubectl port-forward ${service} ended: ${said.text}`)));
  });
  return {
    url: await opened,
    close: () => {
      child.kill();
      return ended;
    },
  };
}
