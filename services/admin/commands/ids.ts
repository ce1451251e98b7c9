import { fromUuid, type Id, isId, type Prefix, toUuid } from '../../domain/ids.ts';
import { command } from '../command.ts';
import { oneOf, optional, required, shortText } from '../options.ts';
import { UsageError } from '../refusals.ts';

const prefixes = [
  'sen',
  'key',
  'fac',
  'top',
  'gft',
  'vch',
  'dlv',
  'dat',
  'clm',
  'ddl',
  'aud',
  'evt',
] as const;
const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const idCommands = [
  command({
    name: 'show-id',
    summary: 'an id as the API writes it and as the database keeps it; asks nobody',
    details: 'The uuid is what the SQL of the runbooks takes; a gift of that id need not exist.',
    options: {
      id: required({ ...shortText('gft_… (or of another kind), or a uuid'), placeholder: 'id' }),
      prefix: optional(oneOf(prefixes, 'what a uuid is the id of; left out: gft')),
    },
    run: async (_context, { id, prefix }) => {
      const both = read(id, prefix);
      return { json: both, text: `${both.id}\n${both.uuid}` };
    },
  }),
];

/** @throws UsageError */
function read(text: string, asked: Prefix | undefined): { id: string; uuid: string } {
  if (uuidForm.test(text)) {
    const uuid = text.toLowerCase();
    return { id: fromUuid(asked ?? 'gft', uuid), uuid };
  }
  const prefix = prefixes.find((one) => isId(one, text));
  if (prefix === undefined) throw new UsageError('--id is neither an id like gft_… nor a uuid');
  if (asked !== undefined && asked !== prefix) throw new UsageError(`--id is not one of ${asked}_…`);
  return { id: text, uuid: toUuid(text as Id<Prefix>) };
}
