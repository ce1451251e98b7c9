import { z } from 'zod';
import { blankCharacters, isBlank } from '../../domain/notifications/shown-text.ts';
import { uncarriable } from '../middleware/text.ts';

export type TextRules = {
  mayBeEmpty?: boolean;
  oneLine?: boolean;
  /** for people's eyes: must show something */
  visible?: boolean;
  /** the one text that is refused elsewhere already */
  except?: string;
};

/**
 * A text of 1 to `max` characters, as the database counts them and OpenAPI does: code points, so that an emoji is one.
 * The document gets the rules of the check, and of the check before it (`findRefusedText`).
 */
export function text(max: number, rules: TextRules = {}): z.ZodString {
  const { mayBeEmpty = false, oneLine = false, visible = false } = rules;
  return z
    .string()
    .refine((given) => mayBeEmpty || given !== '', { error: 'must not be empty', abort: true })
    .refine((given) => codePoints(given) <= max, {
      error: `must have at most ${max} characters`,
      abort: true,
    })
    .refine((given) => !oneLine || !/[\r\n]/.test(given), { error: 'must be one line', abort: true })
    .refine((given) => !visible || !isBlank(given), {
      error: 'is blank: it must show something, or be left out',
      abort: true,
    })
    .meta({ override: { minLength: mayBeEmpty ? 0 : 1, maxLength: max, pattern: patternOf(rules) } });
}

/** The rules as one regular expression, that JavaScript and Python read alike. */
function patternOf({ oneLine = false, visible = false, except }: TextRules): string {
  const refused = oneLine ? `\\n\\r${uncarriable}` : uncarriable;
  const start = except === undefined ? '^' : `^(?!${except}$)`;
  const shown = visible ? `[^${refused}${blankCharacters}][^${refused}]*` : '';
  return `${start}[^${refused}]*${shown}$`;
}

function codePoints(given: string): number {
  let count = 0;
  for (const _one of given) count += 1;
  return count;
}
