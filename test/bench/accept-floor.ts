import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { InsertedGift } from '../../services/database/queries/accept-gifts.ts';
import type { Database } from '../../services/database/schema.ts';
import { acceptGifts, giftAccept } from '../../services/domain/gifts/accept-gifts.ts';
import { prepareGift } from '../../services/domain/gifts/prepare-gift.ts';
import { newId, newUuid, type SenderId, toUuid } from '../../services/domain/ids.ts';
import { draftGift, keyring, outbox } from '../support/gifts.ts';

export type Statement = { text: string; values: unknown[] };

/** The statements of one accept, written down by running it against a connection that only listens. */
export async function statementsOfAccept(senderId: SenderId): Promise<Statement[]> {
  const prepared = prepareGift({ keyring }, draftGift({ senderId, apiKeyId: newId('key') }));
  const { db, statements } = recorder([
    {
      id: toUuid(prepared.gift.id),
      outbox_id: '1',
      outcome: 'accepted',
      decided_at: new Date(0).toISOString(),
      other_id: null,
      earlier: null,
    },
  ]);
  const answer = {
    status: 202,
    bodyAt: (moment: string) => ({
      id: prepared.gift.id,
      object: 'gift',
      state: 'queued',
      created_at: moment,
    }),
    location: `/v1/gifts/${prepared.gift.id}`,
  };
  const key = { scopeId: toUuid(senderId), key: newUuid(), fingerprint: Buffer.alloc(32, 1) };
  const accept = giftAccept({ outbox }, prepared, { ...key, ...answer });
  await acceptGifts(db, { outbox, lockWaitMs: 5_000 }, [accept]);
  return statements;
}

export type Floor = Awaited<ReturnType<typeof openFloor>>;

/** Connections that stay open, so that their statements stay prepared as the API's do. */
export async function openFloor(databaseUrl: string, connections: number) {
  const clients = Array.from({ length: connections }, () => new pg.Client({ connectionString: databaseUrl }));
  await Promise.all(clients.map((client) => client.connect()));

  /** Runs each accept's statements, one after the other and with nothing between. @returns milliseconds that each took */
  async function run(accepts: Iterable<Statement[]>): Promise<number[]> {
    const latenciesMs: number[] = [];
    const waiting = Iterator.from(accepts);
    await Promise.all(
      clients.map(async (client) => {
        for (const statements of waiting) {
          const startedAt = performance.now();
          for (const [index, { text, values }] of statements.entries()) {
            // Unprepared the floor lies at half of this.
            await client.query(values.length > 0 ? { name: `s${index}`, text, values } : text);
          }
          latenciesMs.push(performance.now() - startedAt);
        }
      }),
    );
    return latenciesMs;
  }

  const close = () => Promise.all(clients.map((client) => client.end()));
  return { run, close };
}

function recorder(rows: InsertedGift[]) {
  const statements: Statement[] = [];
  const client = {
    query: async (text: string, values: unknown[] = []) => {
      statements.push({ text, values });
      return { command: 'SELECT', rowCount: rows.length, rows };
    },
    release: () => undefined,
  };
  const pool = { connect: async () => client, end: async () => undefined };
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool: pool as never }) });
  return { db, statements };
}
