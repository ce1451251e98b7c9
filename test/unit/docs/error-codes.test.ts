import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { problemKinds } from '../../../services/api/problem.ts';

test('docs/api.md lists every error code as the code has it: status, title, and whether to try again', () => {
  const [, section = ''] = readFileSync('docs/api.md', 'utf8').split('### Error codes');
  const [table = ''] = section.split('\n## ');
  const listed = [...table.matchAll(/^\| (\d{3}) \| `(\w+)` \| (.+?) \| (yes|no) \| .{20,} \|$/gm)].map(
    ([, status, code, title, retryable]) => ({
      status: Number(status),
      code,
      title,
      retryable: retryable === 'yes',
    }),
  );
  const kinds = Object.entries(problemKinds).map(([code, kind]) => ({ code, ...kind }));
  expect(listed).toEqual(
    kinds.map(({ status, code, title, retryable }) => ({ status, code, title, retryable })),
  );
});
