import { mayBlameRow } from '../database/errors.ts';

/**
 * Runs one statement for all items; when it is refused for a reason that one of them may give, halves them until that one
 * stands alone: a single broken row fails itself for the price of a few statements, and not of one for each that was
 * received with it. A lock is somebody's too: who waits for it waits alone.
 *
 * @returns a result for each item in order, an Error for those that were refused or not come to
 * @throws what a lost connection or a restart throws: nothing is the matter with the items then
 */
export async function togetherOrAlone<In, Out>(
  items: readonly In[],
  run: (items: In[]) => Promise<readonly Out[]>,
): Promise<readonly (Out | Error)[]> {
  try {
    return await run([...items]);
  } catch (error) {
    if (items.length === 1 || !mayBlameRow(error)) throw error;
  }
  return await inHalves(items, run);
}

async function inHalves<In, Out>(
  items: readonly In[],
  run: (items: In[]) => Promise<readonly Out[]>,
): Promise<(Out | Error)[]> {
  const results: (Out | Error)[] = [];
  const left = [items.slice(0, Math.ceil(items.length / 2)), items.slice(Math.ceil(items.length / 2))];
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    try {
      results.push(...(await run([...part])));
    } catch (error) {
      if (mayBlameRow(error) && part.length > 1) {
        const middle = Math.ceil(part.length / 2);
        left.unshift(part.slice(0, middle), part.slice(middle));
      } else {
        results.push(...part.map(() => asError(error)));
        // No answer is about none of them: the others would only wait for the same.
        if (!mayBlameRow(error))
          results.push(...left.splice(0).flatMap((rest) => rest.map(() => asError(error))));
      }
    }
  }
  return results;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('a value that is no error was thrown', { cause: error });
}
