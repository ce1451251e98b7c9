/**
 * The SQS emulator as a process of its own: `node scripts/embedded/sqs.ts <port> <data folder> [address to listen on]`.
 *
 * Put together from fauxqs's own pieces instead of its startFauxqs(), for three reasons found by trying 2.4.1:
 * startFauxqs listens on every interface; with persistence on, giving a message back (visibility 0) fails with
 * "NOT NULL constraint failed: sqs_messages.approximate_receive_count" and takes the message out of the queue; and
 * queue URLs keep the port of the run that created them. With these mended its SQLite store kept every message over a
 * restart and a SIGKILL, at 0.26 ms per message sent in tens against 0.10 ms in memory.
 */
import { mkdirSync } from 'node:fs';
import { buildApp } from 'fauxqs';
import { PersistenceManager } from '../../node_modules/fauxqs/dist/persistence.js';
import { S3Store } from '../../node_modules/fauxqs/dist/s3/s3Store.js';
import { SnsStore } from '../../node_modules/fauxqs/dist/sns/snsStore.js';
import { SqsStore } from '../../node_modules/fauxqs/dist/sqs/sqsStore.js';

const [port, dataFolder, host = '127.0.0.1'] = process.argv.slice(2);
if (port === undefined || dataFolder === undefined) {
  console.error('Usage: node scripts/embedded/sqs.ts <port> <data folder> [address to listen on]');
  process.exit(2);
}
mkdirSync(dataFolder, { recursive: true });

const sqsStore = new SqsStore();
const snsStore = new SnsStore();
const s3Store = new S3Store();
// Without a host of its own, queue URLs are made of the address that the client called.
sqsStore.host = '';
const persistence = openPersistence(dataFolder);
persistence.loadSqsAndSns(sqsStore, snsStore);
// Only after loading: fauxqs would write each loaded queue again, and its REPLACE cascades to the messages.
sqsStore.persistence = persistence;
for (const queue of sqsStore.allQueues()) queue.persistence = persistence;

const app = buildApp({ logger: false, stores: { sqsStore, snsStore, s3Store } });
app.addHook('onClose', async () => persistence.close());
await app.listen({ port: Number(port), host });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void app.close());

function openPersistence(folder: string): PersistenceManager {
  const manager = new PersistenceManager(folder);
  const { db } = manager as unknown as { db: import('node:sqlite').DatabaseSync };
  db.prepare("UPDATE sqs_queues SET url = 'http://127.0.0.1:' || ? || '/000000000000/' || name").run(
    port ?? '',
  );
  const release = db.prepare(
    'UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = ?',
  );
  manager.updateMessageReady = (messageId: string) => void release.run(messageId);
  return manager;
}
