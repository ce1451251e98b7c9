/**
 * JSON in which every object has each of its keys once. `JSON.parse` lets the last one win where others take the first:
 * whoever looked at the request before us may have seen another amount than we do.
 *
 * @throws SyntaxError, DuplicateKey naming the first
 */
export function parseStrictJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (countMembers(text) !== countKeys(value)) throw new DuplicateKey(findDuplicate(text));
  return value;
}

/** Also for a form's fields and for query parameters. */
export class DuplicateKey extends SyntaxError {
  readonly key: string;

  constructor(key: string) {
    super('a key stands twice in one object');
    this.name = 'DuplicateKey';
    this.key = key;
  }
}

/** Members as written: each has one colon outside of strings. The text is known to be JSON. */
function countMembers(text: string): number {
  let members = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) inString = !inString;
    else if (inString) at += code === 0x5c ? 1 : 0;
    else if (code === 0x3a) members += 1;
  }
  return members;
}

/** Members as they were understood. A list of work to do instead of recursion: a body may be as deep as it is long. */
function countKeys(value: unknown): number {
  let keys = 0;
  const waiting = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next !== 'object' || next === null) continue;
    const inner = Object.values(next);
    if (!Array.isArray(next)) keys += inner.length;
    for (const one of inner) if (typeof one === 'object' && one !== null) waiting.push(one);
  }
  return keys;
}

/** Tokens that tell where an object begins and ends, and its keys: a text, with the colon behind it where it is one. */
const tokens = /[{}[\]]|"(?:[^"\\]|\\.)*"(\s*:)?/g;

/** Only asked when there is one. As it is understood: `"a"` and `"\u0061"` are one key. */
function findDuplicate(text: string): string {
  const open: Set<string>[] = [];
  for (const [token, colon] of text.matchAll(tokens)) {
    if (token === '{' || token === '[') open.push(new Set());
    else if (token === '}' || token === ']') open.pop();
    else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, -colon.length)) as string;
      if (open.at(-1)?.has(key)) return key;
      open.at(-1)?.add(key);
    }
  }
  throw new Error('no key stands twice in an object');
}
