import { type RawBuilder, type SqlBool, sql } from 'kysely';

/** Which part of a list, newest first. `after` goes to older rows, `before` to newer ones; both are row ids. */
export type PageRequest = { limit: number; after: string | null; before: string | null };

export type Page<Row> = {
  rows: Row[];
  /** whether more rows follow in the direction of travel */
  hasMore: boolean;
  /** whether older rows follow the last one, and newer ones precede the first */
  next: boolean;
  previous: boolean;
};

/** The keyset condition and order for `column`: stable while rows are inserted, flat however deep the page lies. */
export function pageClauses(
  column: string,
  page: PageRequest,
): { where: RawBuilder<SqlBool>; orderBy: RawBuilder<unknown>; limit: number } {
  const id = sql.ref(column);
  const backwards = page.before !== null;
  return {
    where: positionOf(id, page),
    orderBy: backwards ? sql`${id} asc` : sql`${id} desc`,
    limit: page.limit + 1,
  };
}

/** Written per case: a condition that is sometimes void would keep a prepared plan from starting at the position. */
function positionOf(id: RawBuilder<unknown>, page: PageRequest): RawBuilder<SqlBool> {
  if (page.before !== null) return sql<SqlBool>`${id} > ${page.before}::uuid`;
  return page.after === null ? sql<SqlBool>`true` : sql<SqlBool>`${id} < ${page.after}::uuid`;
}

/** Turns `limit + 1` rows into a page, newest first. */
export function toPage<Row extends { id: string }>(found: Row[], page: PageRequest): Page<Row> {
  const hasMore = found.length > page.limit;
  const rows = found.slice(0, page.limit);
  const backwards = page.before !== null;
  if (backwards) rows.reverse();
  return {
    rows,
    hasMore,
    // A page that was reached from an id has that id's row behind it.
    next: backwards ? rows.length > 0 : hasMore,
    previous: backwards ? hasMore : page.after !== null && rows.length > 0,
  };
}
