type Cell = string | number | null;

/** Rows for people: columns as wide as their widest cell, two spaces between. A list that goes on says how. */
export function table(
  columns: readonly string[],
  rows: readonly (readonly Cell[])[],
  next: string | null,
): string {
  const cells = [
    columns,
    ...rows.map((row) => row.map((cell) => (cell === null ? '-' : printable(String(cell))))),
  ];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const lines = cells.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  if (rows.length === 0) return 'none';
  return [...lines, ...(next === null ? [] : [`more: --after ${next}`])].join('\n');
}

/** A name may hold what moves a terminal's cursor. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '\uFFFD');
}

export function timeOrNull(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
