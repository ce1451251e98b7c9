import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { scopeRoles, scopes } from '../../../services/domain/senders/api-key.ts';

test('every scope is allowed by the roles that docs/api.md names for its operations, and by no other', () => {
  const rows = readFileSync('docs/api.md', 'utf8').matchAll(
    /^\|.*\| (`\w+`(?: or `\w+`)*) \| `([a-z_:]+)` \|$/gm,
  );
  const told = Object.fromEntries(
    [...rows].map(([, roles = '', scope = '']) => [scope, roles.replaceAll('`', '').split(' or ')]),
  );
  expect(told).toEqual(scopeRoles);
  expect(Object.keys(scopeRoles).toSorted()).toEqual([...scopes].toSorted());
});
