/**
 * The characters that XML 1.0 has, which are what SQS carries and, but for U+0000, what PostgreSQL stores. Anything
 * else would be accepted here and then fail at the relay, for ever (P24).
 */
const carriable = /^[\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]*$/u;

export const refusedText =
  'holds a character that can not be carried (U+0000, a lone surrogate, U+FFFE or the like)';

export function isCarriable(text: string): boolean {
  return carriable.test(text);
}

/** Paths of every string, and of every key, that holds a refused character. */
export function findRefusedText(value: unknown, path: readonly PropertyKey[] = []): PropertyKey[][] {
  if (typeof value === 'string') return isCarriable(value) ? [] : [[...path]];
  // No request is this deep: the schema refuses it, and a deeper walk could exhaust the stack.
  if (typeof value !== 'object' || value === null || path.length > 16) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = [...path, key];
    return isCarriable(key) ? findRefusedText(inner, here) : [here];
  });
}

/** RFC 6901; the empty pointer is the whole body. */
export function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
