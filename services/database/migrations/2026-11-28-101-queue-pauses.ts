import { type Kysely, sql } from 'kysely';

/** Which consumers have paused their queue, and why: each writes its own row, and every API process can tell. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table queue_pauses (
      queue text not null,
      consumer text not null,
      owner text not null constraint queue_pauses_owner_known check (owner in ('item', 'us', 'peer', 'unknown')),
      code text not null,
      reason text not null,
      since timestamptz not null,
      next_probe_at timestamptz not null,
      expires_at timestamptz not null,
      primary key (queue, consumer)
    )`.execute(db);
}
