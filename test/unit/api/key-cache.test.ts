import { expect, test } from '@jest/globals';
import { cacheKeys } from '../../../services/api/key-cache.ts';
import type { ApiKeyRow } from '../../../services/database/queries/api-keys.ts';

const hash = (text: string) => Buffer.from(text);
const row = (id: string) => ({ id }) as ApiKeyRow;

function counted(known: (id: string) => ApiKeyRow | undefined) {
  const asked: string[] = [];
  let now = 0;
  const find = cacheKeys(
    async (secretHash) => {
      asked.push(secretHash.toString());
      return known(secretHash.toString());
    },
    { maxAgeMs: 5_000, maxEntries: 2, nowMs: () => now },
  );
  return {
    asked,
    find,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

test('a key is asked for once in its time, also by many at once, and again afterwards', async () => {
  const { asked, find, pass } = counted(row);
  await Promise.all([find(hash('a')), find(hash('a')), find(hash('a'))]);
  pass(4_999);
  expect(await find(hash('a'))).toEqual({ id: 'a' });
  expect(asked).toEqual(['a']);
  pass(1);
  await find(hash('a'));
  expect(asked).toEqual(['a', 'a']);
});

test('keys that do not exist, and failures, are not remembered', async () => {
  const { asked, find } = counted(() => undefined);
  expect([await find(hash('x')), await find(hash('x'))]).toEqual([undefined, undefined]);
  expect(asked).toEqual(['x', 'x']);
  let failing = true;
  const other = counted((id) => {
    if (failing) throw new Error('away');
    return row(id);
  });
  await expect(other.find(hash('a'))).rejects.toThrow('away');
  failing = false;
  expect(await other.find(hash('a'))).toEqual({ id: 'a' });
});

test('no more are remembered than allowed: the oldest goes', async () => {
  const { asked, find } = counted(row);
  for (const id of ['a', 'b', 'c', 'b', 'c', 'a']) await find(hash(id));
  expect(asked).toEqual(['a', 'b', 'c', 'a']);
});
