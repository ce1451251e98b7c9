import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createExchange, type Exchange, type UpstreamAnswer } from './fault-exchange.ts';
import type { Fault } from './faults.ts';

export interface FaultRule {
  /** An SQS operation such as `DeleteMessageBatch`; left out, every operation. */
  operation?: string;
  /** How many requests the rule takes before it is spent; default: until removed or healed. */
  times?: number;
  /** Only requests whose parsed body this accepts. */
  when?: (body: Record<string, unknown>) => boolean;
  fault: Fault;
}

export interface InjectedFault {
  /** Requests that this rule has taken. */
  hits(): number;
  remove(): void;
}

export interface OpenRequest {
  operation: string;
  startedAtMs: number;
}

export interface FaultProxy {
  endpoint: string;
  /** Rules are tried in the order of injection; the first one that answers ends the request. */
  inject(rule: FaultRule): InjectedFault;
  /** Requests that have arrived, for one operation or for all, faulty ones included. */
  requests(operation?: string): number;
  /** Parsed bodies of the latest requests of an operation (the last 1,000 of all operations are kept), oldest first. */
  bodies(operation: string): Record<string, unknown>[];
  /** Requests that have arrived and were not answered yet. */
  open(operation?: string): OpenRequest[];
  /** Forgets every rule; requests that hang already keep hanging. */
  heal(): void;
  /** Closes the listening socket and every connection: connecting is refused until `comeBack()`. */
  goDown(): Promise<void>;
  comeBack(): Promise<void>;
  stop(): Promise<void>;
}

const KEPT_BODIES = 1_000;

interface ActiveRule extends FaultRule {
  hitCount: number;
}

/**
 * An HTTP proxy in front of an SQS endpoint (JSON protocol), which forwards all and spoils what it is told to.
 * A client that goes away does not cancel the request upstream: as with SQS, a poll that was cut may still take its messages.
 */
export async function startFaultProxy(upstream: string): Promise<FaultProxy> {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const rules = new Set<ActiveRule>();
  const counts = new Map<string, number>();
  const openRequests = new Set<OpenRequest>();
  const kept: { operation: string; raw: string }[] = [];
  const sockets = new Set<Socket>();

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const operation = String(req.headers['x-amz-target'] ?? '').split('.')[1] ?? 'unknown';
    counts.set(operation, (counts.get(operation) ?? 0) + 1);
    const open: OpenRequest = { operation, startedAtMs: Date.now() };
    openRequests.add(open);
    for (const end of ['finish', 'close']) res.once(end, () => openRequests.delete(open));
    const raw = await readAll(req);
    kept.push({ operation, raw });
    if (kept.length > KEPT_BODIES) kept.shift();
    const exchange = createExchange(operation, raw, res, (body) => forward(upstream, agent, req, body));
    for (const rule of [...rules]) {
      if (!takes(rule, exchange)) continue;
      rule.hitCount += 1;
      if (rule.hitCount === rule.times) rules.delete(rule);
      if ((await rule.fault(exchange)) !== 'pass-on') return;
    }
    exchange.send(await exchange.forward());
  }

  const server = createServer((req, res) => {
    handle(req, res).catch(() => res.destroy());
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.keepAliveTimeout = 0;
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.removeListener('error', reject);
        resolve();
      });
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;

  async function goDown(): Promise<void> {
    if (!server.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  return {
    endpoint: `http://127.0.0.1:${port}`,
    inject(rule) {
      const active: ActiveRule = { ...rule, hitCount: 0 };
      rules.add(active);
      return { hits: () => active.hitCount, remove: () => void rules.delete(active) };
    },
    requests: (operation) =>
      operation === undefined
        ? [...counts.values()].reduce((sum, count) => sum + count, 0)
        : (counts.get(operation) ?? 0),
    bodies: (operation) =>
      kept.filter((entry) => entry.operation === operation).map((entry) => JSON.parse(entry.raw)),
    open: (operation) =>
      [...openRequests].filter((open) => operation === undefined || open.operation === operation),
    heal: () => rules.clear(),
    goDown,
    comeBack: () => listen(port),
    async stop() {
      await goDown();
      agent.destroy();
    },
  };
}

function takes(rule: ActiveRule, exchange: Exchange): boolean {
  if (rule.operation !== undefined && rule.operation !== exchange.operation) return false;
  return rule.when === undefined || rule.when(exchange.body());
}

function forward(
  upstream: string,
  agent: Agent,
  req: IncomingMessage,
  body: string,
): Promise<UpstreamAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
  const headers = { ...req.headers, 'content-length': String(Buffer.byteLength(body)) };
  delete headers['transfer-encoding'];
  const outgoing = httpRequest(upstream, { method: req.method ?? 'POST', agent, headers }, (res) => {
    readAll(res).then(
      (text) => resolve({ status: res.statusCode ?? 502, headers: res.headers, text }),
      reject,
    );
  });
  outgoing.once('error', reject);
  outgoing.end(body);
  return promise;
}

async function readAll(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
