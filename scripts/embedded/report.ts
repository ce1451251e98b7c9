import type { Demo } from './demo.ts';
import { DEMO_VALUES, type Environment, isExternal } from './environment.ts';
import type { Ports } from './ports.ts';

export interface SystemFacts {
  ports: Ports;
  environment: Environment;
  demo: Demo;
  /** The variables that the person set: they tell which parts are not embedded. */
  outer: NodeJS.ProcessEnv;
}

const MAIL_DEMONSTRATION = [
  'Watch gifts survive a mail server that is away:',
  '  npm run mail -- stop             # send gifts now: they are tried again, then dead-lettered, and stay so',
  '  npm run reconcile -- --dry-run   # what the reconciler would do with them',
  '  npm run mail -- start            # the reconciler runs again, and redrives them',
  '',
];

/** What a person wants to know once everything is up: where it all is, and what to paste. Pure. */
export function describeSystem(facts: SystemFacts): string {
  return [
    'Largesse is running.',
    '',
    ...places(facts).map(([name, place]) => `  ${name.padEnd(15)} ${place}`),
    '',
    ...commands(facts),
    '',
    ...(isExternal('mail', facts.outer) ? [] : MAIL_DEMONSTRATION),
    'Different from production, to keep the wait short:',
    ...DEMO_VALUES.filter(({ variable, value }) => facts.environment[variable] === value).map(
      ({ variable, value, usual, why, whyPausing }) =>
        `  ${variable}=${value} (usually ${usual}): ${(isPausing(facts) && whyPausing) || why}`,
    ),
    '',
    keeping(facts.outer),
  ].join('\n');
}

/** While the mail server is away gifts wait, as they do in production: none is dead-lettered for it. */
function isPausing({ environment }: SystemFacts): boolean {
  return environment['MAIL_PAUSE'] !== 'off';
}

function keeping(outer: NodeJS.ProcessEnv): string {
  const own = (['postgres', 'sqs', 'mail'] as const).filter((part) => isExternal(part, outer));
  const where = 'everything is kept in .largesse/ for the next npm start.';
  if (own.length === 0) return `Ctrl-C stops all of it; ${where}`;
  const names = own.map((part) => NAMES[part]).join(' and ');
  return `Ctrl-C stops all of it but your own ${names}; what is embedded is kept in .largesse/ for the next npm start.`;
}

const NAMES = { postgres: 'database', sqs: 'queues', mail: 'mail server' } as const;

function places({ ports, environment, outer }: SystemFacts): [string, string][] {
  const api = apiUrl(ports);
  const mail: [string, string][] = isExternal('mail', outer)
    ? [['Mail', withoutPassword(environment['SMTP_URL'] ?? '')]]
    : [['Mail catcher', `http://localhost:${ports.mailWeb}   (SMTP on port ${ports.smtp})`]];
  const database = environment['DATABASE_URL'] ?? '';
  return [
    ['API', `${api}/v1`],
    ['API reference', `${api}/docs`],
    ['Claim pages', `${environment['PUBLIC_URL'] ?? api}/claim/…   (the link is in each mail)`],
    ...mail,
    [
      'Metrics',
      `http://localhost:${ports.apiMetrics}/metrics (api), http://localhost:${ports.consumerMetrics}/metrics (consumer)`,
    ],
    ['Database', isExternal('postgres', outer) ? withoutPassword(database) : database],
    [
      'Queues',
      `${withoutPassword(environment['AWS_ENDPOINT_URL_SQS'] ?? '')} (${environment['AWS_REGION']})`,
    ],
    ['For any role', 'node_modules/.bin/node --env-file=.largesse/environment services/…/main.ts'],
  ];
}

function commands({ ports, demo, outer }: SystemFacts): string[] {
  const api = apiUrl(ports);
  const auth = `-H 'Authorization: Bearer ${demo.key}'`;
  const gift = `{"value": {"amount": 2500, "currency": "EUR"}, "recipient": {"type": "email", "email": "ada@example.com"}, "message": "Well done!"}`;
  const post = (query: string) =>
    `curl -sS -X POST '${api}/v1/gifts${query}' ${auth} \\\n    -H 'Content-Type: application/json' -H "Idempotency-Key: $(date +%s%N)" \\\n    -d '${gift}'`;
  return [
    isExternal('mail', outer)
      ? 'Send a gift of 25 EUR; a mail with a claim link goes to its recipient over your mail server (one without TLS\nneeds SMTP_URL=smtp://…?tls=none, in words):'
      : 'Send a gift of 25 EUR; a mail with a claim link is in the mail catcher a moment later:',
    `  ${post('')}`,
    '',
    'Look at the gifts sent so far, and at the story of one:',
    `  curl -sS '${api}/v1/gifts' ${auth}`,
    `  curl -sS '${api}/v1/gifts/gft_…/timeline' ${auth}`,
    '',
    'Ask what would happen, without sending:',
    `  ${post('?dry_run=true')}`,
  ];
}

function apiUrl(ports: Ports): string {
  return `http://localhost:${ports.api}`;
}

/** A database that is not ours keeps its password off the screen. */
export function withoutPassword(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) return url;
  if (parsed.password !== '') parsed.password = '***';
  return parsed.href;
}
