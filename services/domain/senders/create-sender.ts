import type { Kysely } from 'kysely';
import { insertSender } from '../../database/queries/senders.ts';
import type { Database } from '../../database/schema.ts';
import { newId, newUuid, type SenderId, toUuid } from '../ids.ts';

/** Creates a principal that may gift once it has a key and money. `name` has 1 to 200 characters. */
export async function createSender(
  db: Kysely<Database>,
  sender: { name: string; kind?: 'person' | 'system' },
): Promise<SenderId> {
  const id = newId('sen');
  const { name, kind = 'system' } = sender;
  await insertSender(db, { id: toUuid(id), name, kind, auditId: newUuid() });
  return id;
}
