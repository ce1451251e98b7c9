/**
 * What XML 1.0 and so SQS, and of it U+0000 PostgreSQL, do not carry, besides surrogates that stand alone: as a class of a
 * regular expression that JavaScript and Python read alike.
 */
export const uncarriable = '\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\ufffe\\uffff';

/** Anything else would be accepted here and then fail at the relay, for ever (P24). */
const carriable = new RegExp(`^[^${uncarriable}\\ud800-\\udfff]*$`, 'u');

export const refusedText =
  'holds a character that can not be carried (U+0000, a lone surrogate, U+FFFE or the like)';

export function isCarriable(text: string): boolean {
  return carriable.test(text);
}

export type RefusedPlace = { path: PropertyKey[]; detail: string };

/**
 * Every string, and every key, that holds a refused character; and every key `__proto__`, which objects here and there
 * drop in silence: what was sent would be accepted and gone.
 */
export function findRefusedText(value: unknown, path: readonly PropertyKey[] = []): RefusedPlace[] {
  if (typeof value === 'string') return isCarriable(value) ? [] : [{ path: [...path], detail: refusedText }];
  // No request is this deep: the schema refuses it, and a deeper walk could exhaust the stack.
  if (typeof value !== 'object' || value === null || path.length > 16) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = [...path, key];
    if (key === '__proto__')
      return [{ path: here, detail: 'is a name that can not be used; choose another' }];
    return isCarriable(key) ? findRefusedText(inner, here) : [{ path: here, detail: refusedText }];
  });
}

/** RFC 6901; the empty pointer is the whole body. */
export function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
