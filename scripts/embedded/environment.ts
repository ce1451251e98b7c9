/** Where the three things outside of Largesse are, embedded or brought along. */
export interface Backing {
  databaseUrl: string;
  queueEndpoint: string;
  smtpUrl: string;
}

export interface RoleSettings {
  backing: Backing;
  apiUrl: string;
  keyringFile: string;
}

export type Environment = Record<string, string>;

/** Which embedded part each variable replaces. */
const REPLACES = {
  postgres: 'DATABASE_URL',
  sqs: 'AWS_ENDPOINT_URL_SQS',
  mail: 'SMTP_URL',
} as const;

export type Replaceable = keyof typeof REPLACES;

export function isExternal(part: Replaceable, outer: NodeJS.ProcessEnv): boolean {
  return Boolean(outer[REPLACES[part]]?.trim());
}

/**
 * For a demonstration nobody wants to wait for: what differs from production, and why it is safe to differ here.
 * Production's values are the defaults of the programs.
 */
export const DEMO_VALUES: {
  variable: string;
  value: string;
  usual: string;
  why: string;
  whyPausing?: string;
}[] = [
  {
    variable: 'MAX_RETRY_COUNT',
    value: '3',
    usual: '5',
    why: 'a gift that cannot be mailed is dead-lettered within half a minute instead of several',
    whyPausing:
      'a gift whose own mail is refused again and again is dead-lettered sooner; while the mail server is away, gifts wait',
  },
  {
    variable: 'DEAD_LETTER_POLICY_FILE',
    value: 'scripts/embedded/dead-letter-policy.yaml',
    usual: 'the built-in policy',
    why: 'dead letters are redriven at the next reconciliation (minAge 5s instead of 5m, more redrives)',
  },
  {
    variable: 'MAIL_PAUSE',
    value: 'off',
    usual: 'on',
    why: 'with the mail server stopped, gifts are tried again and dead-lettered for you to see, instead of waiting for it',
  },
  {
    variable: 'SHUTDOWN_GRACE_SECONDS',
    value: '6',
    usual: '25',
    why: 'Ctrl-C returns to the prompt sooner',
  },
];

/**
 * The variables that every role gets. What the person has set wins, but for what names an embedded part.
 * Pure: the outer environment comes in, nothing of it that is not ours comes out.
 */
export function roleEnvironment(settings: RoleSettings, outer: NodeJS.ProcessEnv): Environment {
  const defaults: Environment = {
    QUEUE_PROVISIONING: 'create',
    PUBLIC_URL: settings.apiUrl,
    MAIL_FROM: 'Largesse <gifts@largesse.example>',
    LOG_FORMAT: 'pretty',
    LOG_LEVEL: 'info',
    AWS_REGION: 'us-east-1',
    ...Object.fromEntries(DEMO_VALUES.map(({ variable, value }) => [variable, value])),
    // With a mail server of one's own nothing is staged: what concerns every mail pauses, as it does in production.
    ...(isExternal('mail', outer) ? { MAIL_PAUSE: 'on' } : {}),
    KEYRING_FILE: settings.keyringFile,
  };
  const chosen = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [name, outer[name]?.trim() || value]),
  );
  return {
    ...chosen,
    ...(isExternal('sqs', outer) ? {} : EMULATOR_CREDENTIALS),
    // Not the person's choice: some shells export their machine's name as HOST, and a demonstration opens nothing to others.
    HOST: '127.0.0.1',
    DATABASE_URL: settings.backing.databaseUrl,
    AWS_ENDPOINT_URL_SQS: settings.backing.queueEndpoint,
    SMTP_URL: settings.backing.smtpUrl,
  };
}

/** The emulator takes any. A profile must be unset, not only outdone: the SDK prefers it to these. */
const EMULATOR_CREDENTIALS: Environment = {
  AWS_ACCESS_KEY_ID: 'embedded',
  AWS_SECRET_ACCESS_KEY: 'embedded',
  AWS_SESSION_TOKEN: '',
  AWS_PROFILE: '',
};

/** How long a program of ours may take to stop: what it was granted, and 2 s to leave. */
export function stopTimeoutMs(environment: Environment): number {
  return (Number(environment['SHUTDOWN_GRACE_SECONDS']) + 2) * 1_000;
}

/** A file for `node --env-file`, so that any role can be run by hand against the running system. */
export function toEnvFile(environment: Environment): string {
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${quote(value)}`);
  return `# Written by npm start for the running system; holds secrets. Example:\n#   node_modules/.bin/node --env-file=.largesse/environment services/reconciler/main.ts --dry-run\n${lines.join('\n')}\n`;
}

/** Node's parser knows no escapes: a value goes between quotes that it does not contain. */
function quote(value: string): string {
  const mark = [`'`, '"', '`'].find((candidate) => !value.includes(candidate)) ?? '"';
  return `${mark}${value}${mark}`;
}
