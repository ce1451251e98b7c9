/**
 * The variables of Largesse, by concern. A `main.ts` spreads what its role needs into one `z.object({...})` and hands it
 * to `parseEnv`. Messages and descriptions never contain a value: some of these are secrets.
 */
import { z } from 'zod';
import { databaseUrlProblem } from './database-url.ts';
import { parseMailFrom } from './mail-from.ts';
import { parseSmtpUrl } from './smtp-url.ts';

export const databaseEnv = {
  DATABASE_URL: url(['postgres:', 'postgresql:'])
    .superRefine((value, context) => {
      // What is no address of PostgreSQL is told already, and nothing else about it is worth a word.
      const problem =
        /^postgres(ql)?:/i.test(value) && URL.canParse(value) ? databaseUrlProblem(value) : null;
      if (problem !== null) context.addIssue({ code: 'custom', message: problem });
    })
    .describe('Set it to a PostgreSQL URL: postgres://user:password@host:5432/largesse?sslmode=verify-full'),
  DATABASE_POOL_MAX: wholeNumber(1, 1_000)
    .default(10)
    .describe('Set the most connections that one process may open (default 10).'),
  DATABASE_PREPARED_STATEMENTS: z
    .enum(['on', 'off'])
    .default('on')
    .transform((text) => text === 'on')
    .describe('Set it to off behind a pooler that knows no prepared statements (PgBouncer before 1.21).'),
};

export const sqsEnv = {
  AWS_REGION: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/, 'is not the name of an AWS region')
    .describe('Set it to the region of the queues, for example eu-central-1; an emulator takes any region.'),
  AWS_ENDPOINT_URL_SQS: url(['http:', 'https:'])
    .optional()
    .describe('Leave it out for AWS itself; for an emulator set its URL, for example http://localhost:4566'),
  GIFTS_QUEUE_NAME: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,76}$/, 'is not the name of a standard queue')
    .default('largesse-gifts')
    .describe('Use at most 76 letters, digits, - and _ (default largesse-gifts); its DLQ is <name>-dlq.'),
  QUEUE_PROVISIONING: z
    .enum(['verify', 'create'])
    .default('verify')
    .describe('verify: the queues must exist and fit (default); create: missing queues are made.'),
  VISIBILITY_TIMEOUT_SECONDS: wholeNumber(1, 43_200)
    .default(60)
    .describe('Set for how long SQS hides a received message at a time (default 60); all roles must agree.'),
};

export const keyringEnv = {
  KEYRING_FILE: z
    .string()
    .describe(
      'Set it to the path of the keyring; `node dist/admin.js create-keyring --file F` (`npm run admin -- …`) makes one.',
    ),
};

export const publicUrlEnv = {
  PUBLIC_URL: url(['http:', 'https:'])
    .transform((value) => new URL(value))
    .refine(({ origin, href }) => href === `${origin}/`, 'has more than a scheme, a host and a port')
    .transform(({ origin }) => origin)
    .describe(
      'Set it to the address at which recipients reach the API, for example https://gifts.example.com',
    ),
};

export const loggingEnv = {
  LOG_LEVEL: z
    .enum(['error', 'warn', 'info', 'debug'])
    .default('info')
    .describe('Set it to error, warn, info (default) or debug.'),
  LOG_FORMAT: z
    .enum(['json', 'pretty'])
    .optional()
    .describe('Set it to json or pretty; left out, a terminal gets pretty and all else json.'),
  LOG_FILE: z.string().optional().describe('Set it to a path to keep a rotated copy of the log there.'),
  LOG_FILE_MAX_BYTES: wholeNumber(1_024, 10_000_000_000)
    .default(50_000_000)
    .describe('Set the size in bytes at which the log file is rotated (default 50000000).'),
  LOG_FILE_MAX_COUNT: wholeNumber(1, 1_000)
    .default(5)
    .describe('Set how many rotated log files are kept (default 5).'),
};

/** What a logger takes, out of what {@link loggingEnv} read. */
export function logOptions(env: z.output<z.ZodObject<typeof loggingEnv>>) {
  const { LOG_FILE: path, LOG_FILE_MAX_BYTES: maxBytes, LOG_FILE_MAX_COUNT: maxFiles } = env;
  const file = path === undefined ? undefined : { path, maxBytes, maxFiles };
  return { level: env.LOG_LEVEL, format: env.LOG_FORMAT, file };
}

export const httpServerEnv = {
  PORT: port(8_080).describe('Set the port of the API (default 8080; 0 takes any free one).'),
  HOST: z.string().optional().describe('Set the address to listen on; left out, all interfaces.'),
};

export const adminServerEnv = {
  METRICS_PORT: port(9_090).describe(
    'Set the port of /metrics, /healthz and /readyz (default 9090; 0 takes any free one).',
  ),
  HOST: httpServerEnv.HOST,
};

export const mailEnv = {
  SMTP_URL: parsed(parseSmtpUrl).describe('Set it to the mail server: smtp://user:password@host:587'),
  MAIL_FROM: parsed(parseMailFrom).describe(
    'Set it to the sender of the mails: gifts@example.com or "Gifts <gifts@example.com>"',
  ),
};

/** How long a mail server is waited for at each step. The defaults are those of RFC 5321, section 4.5.3.2. */
export const smtpTimesEnv = {
  SMTP_CONNECT_TIMEOUT_SECONDS: smtpSeconds(30, 'a connection'),
  SMTP_GREETING_TIMEOUT_SECONDS: smtpSeconds(300, 'the greeting'),
  SMTP_COMMAND_TIMEOUT_SECONDS: smtpSeconds(300, 'the answer to a command'),
  SMTP_DATA_TIMEOUT_SECONDS: smtpSeconds(120, 'the answer to DATA'),
  SMTP_CONTENT_TIMEOUT_SECONDS: smtpSeconds(180, 'taking the content'),
  SMTP_ACCEPTANCE_TIMEOUT_SECONDS: smtpSeconds(600, 'the answer to the final dot'),
};

function smtpSeconds(standard: number, what: string) {
  return wholeNumber(1, 1_800)
    .default(standard)
    .describe(`Set for how many seconds the mail server is waited for with ${what} (default ${standard}).`);
}

export const processingEnv = {
  MAX_RETRY_COUNT: wholeNumber(0, 100)
    .default(5)
    .describe('Set how often a gift is tried again before it is dead-lettered (default 5).'),
  MAX_IN_FLIGHT: wholeNumber(1, 10_000)
    .default(50)
    .describe('Set how many messages one process handles at a time (default 50).'),
};

/** LEASE_SECONDS <= VISIBILITY_TIMEOUT_SECONDS: see services/consumer/config.ts. */
export const deliveryEnv = {
  LEASE_SECONDS: wholeNumber(1, 43_200)
    .default(60)
    .describe('Set for how long the gifts of a process that died wait for another (default 60).'),
  RETRY_BASE_MS: wholeNumber(1, 3_600_000)
    .default(2_000)
    .describe('Set the base of the pause between attempts, doubled with each (default 2000).'),
  RETRY_CAP_MS: wholeNumber(1, 39_600_000)
    .default(900_000)
    .describe('Set the longest pause between attempts (default 900000, 15 minutes).'),
  MAIL_IN_DOUBT_REPEATS: wholeNumber(0, 5)
    .default(1)
    .describe('Set how often a mail is sent once more when nobody knows whether it arrived (default 1).'),
  MAIL_IN_DOUBT_PAUSE_SECONDS: wholeNumber(1, 36_000)
    .default(900)
    .describe(
      'Set the pause before the first of those repeats (default 900); each later one is 16 times as long.',
    ),
  MAIL_PAUSE: z
    .enum(['on', 'off'])
    .default('on')
    .transform((text) => text === 'on')
    .describe(
      'off: trouble of the mail server uses up the attempts of each gift instead of pausing consumption (default on).',
    ),
  SMTP_MAX_CONNECTIONS: wholeNumber(1, 1_000)
    .default(10)
    .describe('Set the most connections that one process opens to the mail server (default 10).'),
};

export const shutdownEnv = {
  SHUTDOWN_GRACE_SECONDS: wholeNumber(1, 3_600)
    .default(25)
    .describe(
      'Set the seconds a shutdown may take (default 25); keep it below terminationGracePeriodSeconds.',
    ),
};

export const deadLetterPolicyEnv = {
  DEAD_LETTER_POLICY_FILE: z
    .string()
    .optional()
    .describe('Set it to the path of a DeadLetterPolicy in YAML or JSON.'),
  DEAD_LETTER_POLICY_SOURCE: z
    .enum(['file', 'kubernetes'])
    .default('file')
    .describe('file (default), or kubernetes: the DeadLetterPolicies of the namespace.'),
  DEAD_LETTER_POLICY_SELECTOR: z
    .string()
    .optional()
    .describe(
      'Set a label selector where several reconcilers share a namespace: app.kubernetes.io/instance=…',
    ),
  DEAD_LETTER_POLICY_WAIT_SECONDS: wholeNumber(0, 600)
    .default(30)
    .describe('For how long a run looks again where it finds no DeadLetterPolicy object, 0 to 600.'),
};

/** Set by kubelet in every pod, but for the first two. */
export const kubernetesEnv = {
  RECONCILER_LEASE_NAME: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/, 'is not the name of a Lease')
    .default('largesse-reconciler')
    .describe('Set the name of the Lease that a run holds (default largesse-reconciler).'),
  KUBECONFIG: z
    .string()
    .optional()
    .describe('Set it to the path of a kubeconfig; left out, the account of the pod.'),
  KUBERNETES_SERVICE_HOST: z.string().optional().describe('Kubelet sets it in every pod.'),
  KUBERNETES_SERVICE_PORT: port(443).describe('Kubelet sets it in every pod.'),
};

export const tracingEnv = {
  OTEL_EXPORTER_OTLP_ENDPOINT: url(['http:', 'https:'])
    .optional()
    .describe(
      'Set it to the base URL of an OTLP/HTTP collector, for example http://localhost:4318; left out, no tracing.',
    ),
  OTEL_SERVICE_NAME: z.string().optional().describe('Set the name of this service in traces.'),
};

/** A value that is taken apart by a function which says what is wrong with it. */
function parsed<T extends object>(parse: (text: string) => T | { problem: string }) {
  return z.string().transform((text, context): T => {
    const result = parse(text);
    if (!('problem' in result)) return result;
    context.addIssue({ code: 'custom', message: result.problem });
    return z.NEVER;
  });
}

function url(protocols: readonly string[]) {
  const shown = protocols.map((protocol) => `${protocol}//`).join(' or ');
  return z.string().refine((value) => protocols.includes(URL.parse(value)?.protocol ?? ''), {
    error: `is not a ${shown} URL`,
  });
}

function port(standard: number) {
  return wholeNumber(0, 65_535).default(standard);
}

/** Strict on purpose: `Number('')` is 0 and `parseInt('10abc')` is 10, and both have misconfigured a pool before. */
export function wholeNumber(min: number, max: number) {
  const error = `is not a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, error)
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error });
}
