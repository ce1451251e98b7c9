import { Problem } from '../problem.ts';
import { DuplicateKey } from './strict-json.ts';

/** More fields than any form of ours has. */
const maxFields = 20;

/**
 * What a form sends, each field once.
 * @throws SyntaxError when it is no URL-encoded UTF-8 (`%ff` would be read as U+FFFD), DuplicateKey
 */
export function readForm(text: string): Record<string, string> {
  try {
    decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new SyntaxError('not URL-encoded UTF-8', { cause });
  }
  const fields = [...new URLSearchParams(text)];
  if (fields.length > maxFields) throw new SyntaxError('too many fields');
  const names = fields.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new DuplicateKey(twice);
  return Object.fromEntries(fields);
}

/** Express asks it for `request.query`. @throws Problem `validation_failed` */
export function readQuery(text: string | null): Record<string, string> {
  try {
    return readForm(text ?? '');
  } catch (cause) {
    if (cause instanceof DuplicateKey) {
      const errors = [{ parameter: cause.key, detail: 'stands twice in the query' }];
      throw new Problem('validation_failed', 'a parameter stands twice in the query; send each once', {
        errors,
      });
    }
    const detail = `the query is not URL-encoded UTF-8 of at most ${maxFields} parameters`;
    throw new Problem('validation_failed', detail);
  }
}
