import { formatDuration } from './duration.ts';
import type { LetterResult } from './run.ts';
import type { RunReport } from './run-report.ts';

/** Rows that a person still reads; the counts below the table cover the rest. */
const shownRows = 200;

/** A run for a person at a terminal: a line per message, the counts, and what stands against "converged". */
export function formatRun(report: RunReport): string {
  const shown = report.results.slice(0, shownRows);
  const hidden = report.results.length - shown.length;
  const lines = [
    `${report.dryRun ? 'Dry run' : 'Run'} of policy ${report.policy} on queue ${report.queue}`,
    '',
    ...(shown.length === 0 ? ['No dead letters.'] : formatTable(shown.map(toCells))),
    ...(hidden > 0 ? [`… and ${hidden} more`] : []),
    '',
    ...formatCounts(report),
    ...report.reasons.map((reason) => `  ! ${reason}`),
    `${headlines[report.outcome]}${report.dryRun ? ' (dry run: nothing was sent, deleted or changed)' : ''}`,
  ];
  return `${lines.join('\n')}\n`;
}

const headlines: Record<RunReport['outcome'], string> = {
  converged: 'Converged.',
  suspended: 'Suspended.',
  again: 'Not finished: try again.',
  needs_person: 'Needs a person.',
};

const header = ['MESSAGE', 'CLASS', 'GIFT STATE', 'AGE', 'REDRIVES', 'VERDICT', 'RULE'];

function toCells({ letter, verdict, rule, outcome }: LetterResult): string[] {
  return [
    letter.key,
    letter.class,
    letter.giftState ?? '-',
    formatDuration(letter.ageSeconds),
    String(letter.redrives),
    outcome === 'failed' || outcome === 'stopped' ? `${verdict} (${outcome})` : verdict,
    rule ?? '-',
  ];
}

function formatTable(rows: readonly string[][]): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Zeros are left out but for the first line, which is always the same. */
function formatCounts({ counts }: RunReport): string[] {
  const { scanned, redriven, quarantined, discarded, waiting, errors, ...others } = counts;
  const main = { scanned, redriven, quarantined, discarded, waiting, errors };
  const more = Object.fromEntries(Object.entries(others).filter(([, count]) => count > 0));
  return [main, more].filter((group) => Object.keys(group).length > 0).map(formatGroup);
}

function formatGroup(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name.replaceAll('_', ' ')} ${count}`)
    .join('   ');
}
