import { createServer } from 'node:net';
import { isExternal, type Replaceable } from './environment.ts';

/** What each port is for, and where people look for it first; 0 = nobody types it, any free one will do. */
export const USUAL_PORTS = {
  api: 8080,
  apiMetrics: 9090,
  consumerMetrics: 9190,
  mailWeb: 1080,
  smtp: 1025,
  postgres: 0,
  sqs: 0,
} as const;

export type PortName = keyof typeof USUAL_PORTS;
export type Ports = Record<PortName, number>;

/** The embedded part whose port it is, where somebody's own server may stand in for it. */
const PART_OF_PORT: Readonly<Partial<Record<PortName, Replaceable>>> = {
  mailWeb: 'mail',
  smtp: 'mail',
  postgres: 'postgres',
  sqs: 'sqs',
};

/** What listens there, in the words of the summary. */
const TITLES: Readonly<Record<PortName, string>> = {
  api: 'the API',
  apiMetrics: 'the metrics page of the API',
  consumerMetrics: 'the metrics page of the consumer',
  mailWeb: 'the mail catcher',
  smtp: 'the SMTP port of the mail catcher',
  postgres: 'PostgreSQL',
  sqs: 'the SQS emulator',
};

/** A sentence for each port that is not where people look for it: the usual one, or the one of the last start. Pure. */
export function movedPorts(wanted: Partial<Ports>, chosen: Ports, outer: NodeJS.ProcessEnv): string[] {
  return (Object.keys(USUAL_PORTS) as PortName[]).flatMap((name) => {
    const expected = wanted[name] ?? USUAL_PORTS[name];
    const part = PART_OF_PORT[name];
    const isOurs = part === undefined || !isExternal(part, outer);
    if (expected === 0 || chosen[name] === expected || !isOurs) return [];
    return [`Port ${expected} is taken: ${TITLES[name]} listens on ${chosen[name]} instead.`];
  });
}

const NEIGHBOURS = 20;

/**
 * A free port for each name: the remembered one, else the usual one, else one of its neighbours, else any. All are
 * held until all are found, so that no two names get the same one.
 */
export async function choosePorts(remembered: Partial<Ports>): Promise<Ports> {
  const held: (() => Promise<void>)[] = [];
  const chosen = {} as Ports;
  try {
    for (const name of Object.keys(USUAL_PORTS) as PortName[]) {
      const found = await holdFirst(candidates(remembered[name], USUAL_PORTS[name]));
      held.push(found.release);
      chosen[name] = found.port;
    }
  } finally {
    for (const release of held) await release();
  }
  return chosen;
}

/** In the order of preference, ending with 0, which the system fills in. */
export function candidates(remembered: number | undefined, usual: number): number[] {
  const list = remembered === undefined ? [] : [remembered];
  if (usual !== 0) for (let step = 0; step < NEIGHBOURS; step += 1) list.push(usual + step);
  return [...new Set([...list, 0])];
}

async function holdFirst(ports: number[]): Promise<{ port: number; release: () => Promise<void> }> {
  for (const port of ports) {
    const held = await hold(port);
    if (held !== undefined) return held;
  }
  throw new Error('No free TCP port is left on this machine.');
}

/** Free means free for `localhost` too: somebody on [::1]:8080 would answer a browser instead of us. */
async function hold(port: number): Promise<{ port: number; release: () => Promise<void> } | undefined> {
  const ours = await listen(port, '127.0.0.1');
  if (ours === undefined) return undefined;
  const six = await listen(ours.port, '::1');
  const taken = six === undefined;
  await six?.close();
  if (!taken) return { port: ours.port, release: ours.close };
  await ours.close();
  return undefined;
}

/** Undefined when the port is taken; an address that this machine does not have can't be taken by anybody. */
function listen(
  port: number,
  host: string,
): Promise<{ port: number; close: () => Promise<void> } | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined);
      else if (host === '::1') resolve({ port, close: async () => undefined });
      else reject(error);
    });
    server.listen(port, host, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : port;
      resolve({ port: bound, close: () => new Promise((done) => server.close(() => done())) });
    });
  });
}
