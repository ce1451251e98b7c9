import { z } from 'zod';
import { type Id, idPattern, isId, type Prefix } from '../../domain/ids.ts';

/** A public id with this prefix, typed as one. */
export function idSchema<P extends Prefix>(prefix: P, what: string): z.ZodType<Id<P>, string> {
  return z
    .string()
    .refine((text) => isId(prefix, text), `is not the id of ${what}, ${prefix}_…`)
    .meta({ override: { pattern: idPattern(prefix) } }) as unknown as z.ZodType<Id<P>, string>;
}
