import type { z } from 'zod';

type Issue = z.core.$ZodRawIssue;

/**
 * A sentence for what a schema found and had no words of its own for: it follows the name of the field, and says what
 * the field must be. Never holds what was sent.
 */
export function explainIssue(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(issue.expected, issue.input);
    case 'too_small':
      return issue.origin === 'string'
        ? issue.minimum === 1
          ? 'must not be empty'
          : `must have at least ${issue.minimum} characters`
        : `must be at least ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `must have at most ${issue.maximum} characters`
        : `must be at most ${issue.maximum}`;
    case 'invalid_value':
      return issue.input === undefined
        ? 'is required'
        : `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'invalid_key':
      return `has a name that ${issue.issues[0]?.message ?? 'can not be used'}`;
    default:
      return 'is not valid';
  }
}

function wrongType(expected: string, given: unknown): string {
  if (given === undefined) return 'is required';
  if (given === Number.POSITIVE_INFINITY || given === Number.NEGATIVE_INFINITY)
    return 'is too large a number';
  if (expected === 'int' && typeof given === 'number') return 'must be a whole number';
  return `must be ${types[expected] ?? expected}, not ${typeOf(given)}`;
}

const types: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'an array',
};

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return types[typeof value] ?? typeof value;
}
