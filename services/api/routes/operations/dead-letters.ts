import type { RequestHandler } from 'express';
import { z } from 'zod';
import { type DeadLetterRow, listDeadLetterRows } from '../../../database/queries/list-dead-letters.ts';
import { fromUuid } from '../../../domain/ids.ts';
import type { ApiDeps } from '../../deps.ts';
import { query } from '../../middleware/validate.ts';
import { pagedQuery, sendPage, toPageRequest } from '../page-query.ts';

const verdict = z.enum(['redrive', 'quarantine', 'discard', 'wait']);

export const deadLettersQuery = query(pagedQuery('ddl', { verdict: verdict.optional() }));

export const deadLetterSchema = z
  .object({
    id: z.string(),
    object: z.literal('dead_letter'),
    queue: z.string(),
    message_id: z.string(),
    message_key: z.string(),
    gift_id: z.string().nullable(),
    class: z.enum(['transient', 'permanent', 'poison', 'unknown']),
    reason: z.string(),
    receive_count: z.int(),
    verdict,
    rule: z.string().nullable().meta({ description: 'The rule of the policy that decided' }),
    sent_at: z.iso.datetime(),
    first_seen_at: z.iso.datetime(),
    last_seen_at: z.iso.datetime(),
    applied_at: z.iso.datetime().nullable().meta({ description: 'When the verdict was carried out' }),
    archived_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'DeadLetter' });

export function listDeadLetters({ reads }: ApiDeps): RequestHandler {
  return async (request, response) => {
    const asked = deadLettersQuery.of(response);
    const filter = { verdict: asked.verdict ?? null };
    const { rows, ...page } = await listDeadLetterRows(reads, filter, toPageRequest(asked));
    sendPage(request, response, { ...page, data: rows.map(deadLetterResource) });
  };
}

function deadLetterResource(row: DeadLetterRow): z.output<typeof deadLetterSchema> {
  return {
    ...row,
    id: fromUuid('ddl', row.id),
    object: 'dead_letter',
    gift_id: row.gift_id === null ? null : fromUuid('gft', row.gift_id),
    sent_at: row.sent_at.toISOString(),
    first_seen_at: row.first_seen_at.toISOString(),
    last_seen_at: row.last_seen_at.toISOString(),
    applied_at: row.applied_at?.toISOString() ?? null,
    archived_at: row.archived_at?.toISOString() ?? null,
  };
}
