/**
 * `30s`, `5m`, `1h30m`, `7d`: whole numbers, largest unit first. The empty text, which follows it as well, is none. Without
 * a look-ahead, which the regular expressions of Kubernetes do not know.
 */
export const durationPattern = /^(?:(\d{1,3})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?$/;

/** of `999d9999h99999m999999s` */
export const maxDurationLength = 22;

/** @throws RangeError when the text does not follow {@link durationPattern} */
export function durationSeconds(text: string): number {
  const match = durationPattern.exec(text);
  if (match === null || text === '')
    throw new RangeError(`"${text}" is no duration; write it like 30s, 5m, 12h or 7d`);
  const [days, hours, minutes, seconds] = match.slice(1).map((digits) => Number(digits ?? 0));
  return (((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0);
}

/** The shortest text that {@link durationSeconds} reads back; for tables, logs and messages. */
export function formatDuration(totalSeconds: number): string {
  let rest = Math.max(0, Math.floor(totalSeconds));
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.join('') || '0s';
}

const units = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;
