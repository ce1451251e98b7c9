import { createSender } from '../../domain/senders/create-sender.ts';
import { listSenders, renameSender, type Sender, setSenderStatus } from '../../domain/senders/senders.ts';
import { command, mustExist } from '../command.ts';
import type { AdminContext } from '../context.ts';
import { id, listLimit, oneOf, optional, required, shortText, standard } from '../options.ts';
import { table } from '../table.ts';

const sender = required(id('sen', 'a sender'));

export const senderCommands = [
  command({
    name: 'create-sender',
    summary: 'make a sender; prints its id',
    options: {
      name: required(shortText('what people see as the giver where a gift names nobody else')),
      kind: standard(oneOf(['system', 'person'], 'who it is'), 'system'),
    },
    run: async ({ withDatabase }, given) => {
      const made = await withDatabase((db) => createSender(db, given));
      return { json: { id: made, name: given.name, kind: given.kind, status: 'active' }, text: made };
    },
  }),
  command({
    name: 'list-senders',
    summary: 'senders, newest first',
    options: {
      status: optional(oneOf(['active', 'suspended'], 'only these')),
      limit: listLimit,
      after: optional(id('sen', 'the last sender of the page before')),
    },
    run: async ({ withDatabase }, { status, limit, after }) => {
      const filter = { status: status ?? null };
      const page = await withDatabase((db) => listSenders(db, filter, { limit, after: after ?? null }));
      const rows = page.senders.map((one) => [
        one.id,
        one.kind,
        one.status,
        one.createdAt.toISOString(),
        one.name,
      ]);
      return {
        json: { senders: page.senders.map(toJson), next: page.next },
        text: table(['ID', 'KIND', 'STATUS', 'CREATED', 'NAME'], rows, page.next),
      };
    },
  }),
  command({
    name: 'rename-sender',
    summary: 'give a sender another name',
    options: { sender, name: required(shortText('the new name')) },
    run: async ({ withDatabase }, given) => {
      const renamed = await withDatabase((db) => renameSender(db, given.sender, given.name));
      return told(mustExist(renamed, 'sender with this id; list-senders shows them'), 'has the new name');
    },
  }),
  command({
    name: 'suspend-sender',
    summary: 'refuse all keys of a sender, until it is activated again',
    details:
      'Running APIs remember keys for up to 5 seconds. Gifts that were accepted before go their way; cancel them over the API.',
    options: { sender },
    run: (context, given) => setStatus(context, given.sender, 'suspended'),
  }),
  command({
    name: 'activate-sender',
    summary: 'accept the keys of a suspended sender again',
    options: { sender },
    run: (context, given) => setStatus(context, given.sender, 'active'),
  }),
];

async function setStatus({ withDatabase }: AdminContext, of: Sender['id'], status: Sender['status']) {
  const changed = await withDatabase((db) => setSenderStatus(db, of, status));
  return told(mustExist(changed, 'sender with this id; list-senders shows them'), `is ${status}`);
}

function told(changed: Sender, what: string) {
  return { json: toJson(changed), text: `${changed.id} ${what}` };
}

function toJson({ createdAt, ...rest }: Sender) {
  return { ...rest, created_at: createdAt.toISOString() };
}
