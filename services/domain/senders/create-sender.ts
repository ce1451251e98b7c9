import type { Kysely } from 'kysely';
import { insertSender } from '../../database/queries/api-keys.ts';
import type { Database } from '../../database/schema.ts';
import { newId, type SenderId, toUuid } from '../ids.ts';

/** Creates a principal that may gift once it has a key and money. `name` has 1 to 200 characters. */
export async function createSender(
  db: Kysely<Database>,
  sender: { name: string; kind?: 'person' | 'system' },
): Promise<SenderId> {
  const id = newId('sen');
  await insertSender(db, { id: toUuid(id), name: sender.name, kind: sender.kind ?? 'system' });
  return id;
}
