import { type Floor, openFloor, type Statement, statementsOfAccept } from './accept-floor.ts';
import { type AcceptingSender, startAcceptingApi, withSurroundings } from './accepting-api.ts';
import { addSent, giftPosts, perSecond, type Sent, sendGifts } from './send-gifts.ts';

export interface AcceptBenchRow {
  what: string;
  senders: number;
  connections: number;
  accepts: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** of the floor with as many senders and connections */
  ofFloor: string;
}

/**
 * POST /v1/gifts over HTTP (a process of its own, all that it does included: authentication, two budgets, validation,
 * sealing, log line, relay) beside the floor: the same transaction's statements alone, from as many connections, in
 * the same run against the same Postgres. The two take turns, as a shared machine is faster at one minute than the next.
 */
export async function run({ sliceMs = 600, rounds = 6 } = {}): Promise<AcceptBenchRow[]> {
  const rows: AcceptBenchRow[] = [];
  await withSurroundings(async (around) => {
    const api = await startAcceptingApi(around, 'accepts');
    const overHttp = (senders: AcceptingSender[], connections: number, forMs: number) =>
      sendGifts(api.url, connections, giftPosts(senders, performance.now() + forMs));
    await overHttp(api.senders, 32, 1_500);
    for (const connections of [16, 32]) {
      const floor = await openFloor(api.databaseUrl, connections);
      let last = await onFloor(floor, api.senders, { count: 300, forMs: sliceMs });
      for (const used of [api.senders, api.senders.slice(0, 1)]) {
        const bare: Sent = { seconds: 0, latenciesMs: [] };
        const http: Sent = { seconds: 0, latenciesMs: [] };
        for (let round = 0; round < rounds; round += 1) {
          // Prepared beforehand, as the floor seals nothing: half as many again as the last slice took.
          const count = Math.ceil(perSecond(last) * (sliceMs / 1_000) * 1.5);
          last = await onFloor(floor, used, { count, forMs: sliceMs });
          addSent(bare, last);
          addSent(http, await overHttp(used, connections, sliceMs));
        }
        const of = { senders: used.length, connections };
        rows.push(toRow('bare pg loop', of, bare, bare), toRow('POST /v1/gifts', of, http, bare));
      }
      await floor.close();
    }
  });
  return rows;
}

async function onFloor(
  floor: Floor,
  senders: AcceptingSender[],
  { count, forMs }: { count: number; forMs: number },
): Promise<Sent> {
  const accepts: Statement[][] = [];
  for (let i = 0; i < count; i += 1) {
    const sender = senders[i % senders.length];
    if (sender) accepts.push(await statementsOfAccept(sender.senderId));
  }
  const startedAt = performance.now();
  const latenciesMs = await floor.run(until(accepts, startedAt + forMs));
  return { seconds: (performance.now() - startedAt) / 1_000, latenciesMs };
}

function* until<T>(items: readonly T[], untilMs: number): Generator<T> {
  for (const item of items) {
    if (performance.now() >= untilMs) return;
    yield item;
  }
}

function toRow(
  what: string,
  of: { senders: number; connections: number },
  measured: Sent,
  floor: Sent,
): AcceptBenchRow {
  const sorted = measured.latenciesMs.toSorted((a, b) => a - b);
  const percentile = (share: number) => Number((sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1));
  return {
    what,
    ...of,
    accepts: sorted.length,
    perSecond: Math.round(perSecond(measured)),
    p50Ms: percentile(0.5),
    p99Ms: percentile(0.99),
    ofFloor: `${Math.round((perSecond(measured) / perSecond(floor)) * 100)} %`,
  };
}

if (import.meta.main) console.table(await run());
