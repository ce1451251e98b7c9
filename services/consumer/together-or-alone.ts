import { isTransientDatabaseError } from '../database/errors.ts';

/**
 * Runs one statement for all items; when it is refused for a reason that lies in the data, runs one for each, so that a
 * single broken row fails itself and not the nine that were received with it.
 *
 * @returns a result for each item in order, an Error for those that were refused
 * @throws what a lost connection, a lock or a restart throws: nothing is the matter with the items then
 */
export async function togetherOrAlone<In, Out>(
  items: readonly In[],
  run: (items: In[]) => Promise<readonly Out[]>,
): Promise<readonly (Out | Error)[]> {
  try {
    return await run([...items]);
  } catch (error) {
    if (items.length === 1 || isTransientDatabaseError(error)) throw error;
  }
  const results: (Out | Error)[] = [];
  for (const item of items) results.push(await aloneOrError(item, run));
  return results;
}

async function aloneOrError<In, Out>(
  item: In,
  run: (items: In[]) => Promise<readonly Out[]>,
): Promise<Out | Error> {
  try {
    const [result] = await run([item]);
    return result === undefined ? new Error('the statement gave no result') : result;
  } catch (error) {
    return error instanceof Error
      ? error
      : new Error('a value that is no error was thrown', { cause: error });
  }
}
