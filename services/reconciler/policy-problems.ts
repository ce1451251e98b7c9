import { z } from 'zod';
import type { PolicyProblem } from './policy-checks.ts';
import { deadLetterPolicySchema } from './policy-resource.ts';

/** What a person needs to mend a field: where it is, what is wrong, what would be right. Values are shown: a policy holds no secret. */
export function explainIssue(issue: z.core.$ZodIssue): PolicyProblem[] {
  const path = formatPath(issue.path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = fieldsAt(issue.path).join(', ');
      return issue.keys.map((key) => ({
        path: formatPath([...issue.path, key]),
        message: `is not a field here; there are ${known}`,
      }));
    }
    case 'invalid_value':
      return [{ path, message: `${shown(issue.input)}must be ${issue.values.map(String).join(' or ')}` }];
    case 'invalid_type':
      return [
        {
          path,
          message:
            issue.input === undefined
              ? `is missing; it takes ${article(issue.expected)}`
              : `${shown(issue.input)}must be ${article(issue.expected)}`,
        },
      ];
    case 'too_small':
      return [{ path, message: shown(issue.input) + bound(issue, 'least', issue.minimum) }];
    case 'too_big':
      return [{ path, message: shown(issue.input) + bound(issue, 'most', issue.maximum) }];
    default:
      return [{ path, message: `${shown(issue.input)}${issue.message}` }];
  }
}

function shown(input: unknown): string {
  return typeof input === 'object' || input === undefined ? '' : `${JSON.stringify(input)} `;
}

/** Of a text, the schema says in words what it takes. */
function bound({ origin, message }: SizeIssue, side: 'least' | 'most', limit: number | bigint): string {
  if (origin === 'string') return message;
  return origin === 'array' ? `must have at ${side} ${limit} entries` : `must be at ${side} ${limit}`;
}

type SizeIssue = z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig;

const articles: Record<string, string> = {
  object: 'a mapping',
  array: 'a list',
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
};

function article(expected: string): string {
  return articles[expected] ?? expected;
}

function formatPath(path: readonly PropertyKey[]): string {
  if (path.length === 0) return 'the document';
  return path.reduce<string>(
    (text, key) =>
      typeof key === 'number' ? `${text}[${key}]` : `${text}${text === '' ? '' : '.'}${String(key)}`,
    '',
  );
}

/** The fields that the schema has at a path; the error itself only names the one that is too many. */
function fieldsAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = deadLetterPolicySchema;
  for (const key of path) {
    const inner = unwrap(schema);
    schema =
      inner instanceof z.ZodArray
        ? inner.element
        : inner instanceof z.ZodObject
          ? inner.shape[String(key)]
          : undefined;
  }
  const found = unwrap(schema);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

function unwrap(schema: unknown): unknown {
  let inner = schema;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional) {
    inner = inner.unwrap();
  }
  return inner;
}
