import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { commands } from '../../../services/admin/program.ts';
import { alerts } from '../../support/chart-monitoring.ts';
import { readQuery } from '../../support/promql.ts';

const FOLDER = 'docs/runbook';

const pages = new Map(
  readdirSync(FOLDER).map((name) => [name, readFileSync(`${FOLDER}/${name}`, 'utf8')] as const),
);

/** As a forge makes anchors of headings. */
const anchorsOf = (page: string) =>
  [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

test.each(alerts.map(({ alert, ...rule }) => ({ alert, ...rule })))(
  'P172: $alert says how bad it is, what it is, and where one reads on',
  ({ alert, labels, annotations }) => {
    expect(alert).toMatch(/^Largesse[A-Z]\w+$/);
    expect(labels?.['severity']).toMatch(/^(critical|warning)$/);
    expect(annotations?.['summary']).toMatch(/\.$/);
    expect(annotations?.['description']).toMatch(/\.$/);
    const [file = '', anchor = ''] = (annotations?.['runbook_url'] ?? '').split('#');
    expect([...pages.keys()]).toContain(file);
    expect(anchor).toBe(alert.toLowerCase());
    expect(anchorsOf(pages.get(file) ?? '')).toContain(anchor);
  },
);

test('P172: every heading that is an alert has one', () => {
  const headings = [...pages.values()].flatMap((page) =>
    [...page.matchAll(/^#+ (Largesse[A-Z]\w+)$/gm)].map(([, name]) => name),
  );
  expect(headings.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
});

const functions = ['humanize', 'humanizeDuration', 'humanizePercentage'];

test.each(alerts)('$alert tells only what its expression leaves', ({ expr, annotations }) => {
  const offered = readQuery(expr).groupings.flatMap(({ labels }) => labels);
  const isWhole = !/\bby \(|^absent|count\(|sum\(|max\(/.test(expr);
  for (const [, text = ''] of `${annotations?.['summary']} ${annotations?.['description']}`.matchAll(
    /\{\{ (.+?) \}\}/g,
  )) {
    const [value = '', pipe] = text.split(' | ');
    if (pipe !== undefined) expect(functions).toContain(pipe);
    if (value !== '$value' && !isWhole) expect(offered.map((label) => `$labels.${label}`)).toContain(value);
  }
});

test('every alert has a name of its own', () => {
  expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
});

test('P172: links between pages lead to pages', () => {
  for (const [name, page] of pages)
    for (const [, target = ''] of page.matchAll(/\]\(([^)#:]+)(?:#[\w-]+)?\)/g)) {
      expect({ name, target, found: existsSync(`${FOLDER}/${target}`) }).toEqual({
        name,
        target,
        found: true,
      });
    }
});

/** What pages tell people to type, beyond what every machine has. */
const runs: [RegExp, (argument: string) => boolean][] = [
  [/npm run (?:-s )?([\w-]+)/g, (script) => script in manifest.scripts],
  [/dist\/admin\.js ([a-z][\w-]+)/g, (command) => adminCommands.includes(command)],
  [/(?:npm run (?:-s )?admin --|`admin) ([a-z][\w-]+)/g, (command) => adminCommands.includes(command)],
];

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
const adminCommands = commands.map(({ name }) => name);

test('P172: commands of the pages are commands that there are', () => {
  let found = 0;
  for (const [name, page] of pages)
    for (const [pattern, exists] of runs)
      for (const [, argument = ''] of page.matchAll(pattern)) {
        found += 1;
        expect({ name, argument, exists: exists(argument) }).toEqual({ name, argument, exists: true });
      }
  expect(found).toBeGreaterThan(10);
});
