/** Messages that share one transaction and one check of the lease. */
export const pageSize = 500;

/** The items in groups of at most `size`, in order. */
export function* pagesOf<Item>(items: readonly Item[], size: number): Generator<Item[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
