import type { Request, Response } from 'express';
import { z } from 'zod';
import type { PageRequest } from '../../database/queries/page.ts';
import { type Id, type Prefix, toUuid } from '../../domain/ids.ts';
import { idSchema } from './id-schema.ts';

const maxLimit = 200;
const defaultLimit = 50;
const limitText = `must be a whole number from 1 to ${maxLimit}`;

/** `limit`, `after` and `before` of a list whose items have ids with this prefix. */
function pageQuery<P extends Prefix>(prefix: P) {
  const cursor = () => idSchema(prefix, 'an item');
  return {
    // Read as text first: of "1e2", " 5" and "0x10" a number can be made, too.
    limit: z
      .string()
      .regex(/^\d{1,3}$/, limitText)
      .transform(Number)
      .pipe(z.int().min(1, limitText).max(maxLimit, limitText))
      .default(defaultLimit)
      .meta({
        description: 'Items per page',
        override: { type: 'integer', minimum: 1, maximum: maxLimit, default: defaultLimit },
      }),
    after: cursor().optional().meta({ description: 'Older items than this one' }),
    before: cursor().optional().meta({ description: 'Newer items than this one' }),
  };
}

/** Shape of a list query that may page one way only. */
export function pagedQuery<P extends Prefix, Shape extends z.ZodRawShape>(prefix: P, shape: Shape) {
  return z
    .strictObject({ ...pageQuery(prefix), ...shape })
    .refine((query) => !('after' in query && query.after !== undefined && query.before !== undefined), {
      path: ['before'],
      error: 'can not go together with after',
    });
}

export function toPageRequest(query: {
  limit: number;
  after?: Id<Prefix> | undefined;
  before?: Id<Prefix> | undefined;
}): PageRequest {
  return {
    limit: query.limit,
    after: query.after === undefined ? null : toUuid(query.after),
    before: query.before === undefined ? null : toUuid(query.before),
  };
}

/** Answers a page: `{data, has_more}` and a Link header with the ways on (RFC 8288). */
export function sendPage(
  request: Request,
  response: Response,
  page: { data: readonly { id: string }[]; hasMore: boolean; next: boolean; previous: boolean },
): void {
  const link = (rel: string, cursor: 'after' | 'before', id: string | undefined) => {
    const query = new URLSearchParams(request.originalUrl.split('?')[1] ?? '');
    query.delete('after');
    query.delete('before');
    query.set(cursor, id ?? '');
    return `<${request.path}?${query}>; rel="${rel}"`;
  };
  const links = [
    ...(page.next ? [link('next', 'after', page.data.at(-1)?.id)] : []),
    ...(page.previous ? [link('prev', 'before', page.data[0]?.id)] : []),
  ];
  if (links.length > 0) response.setHeader('Link', links.join(', '));
  response.json({ data: page.data, has_more: page.hasMore });
}

export function pageSchema<Item extends z.ZodType>(item: Item) {
  return z.object({
    data: z.array(item),
    has_more: z.boolean().meta({ description: 'Whether more items follow in the direction of travel' }),
  });
}
