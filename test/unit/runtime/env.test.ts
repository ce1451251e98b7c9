import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { EnvironmentError, parseEnv } from '../../../services/runtime/env.ts';
import * as variables from '../../../services/runtime/env-variables.ts';

const consumer = z.object({
  ...variables.databaseEnv,
  ...variables.sqsEnv,
  ...variables.keyringEnv,
  ...variables.publicUrlEnv,
  ...variables.loggingEnv,
  ...variables.adminServerEnv,
  ...variables.mailEnv,
  ...variables.processingEnv,
  ...variables.shutdownEnv,
  ...variables.deadLetterPolicyEnv,
  ...variables.tracingEnv,
});

const REQUIRED = {
  DATABASE_URL: 'postgres://app:hunter2@localhost:5432/largesse',
  AWS_REGION: 'eu-central-1',
  KEYRING_FILE: '/etc/largesse/keyring.json',
  PUBLIC_URL: 'https://gifts.example.com/',
  SMTP_URL: 'smtp://localhost:1025',
  MAIL_FROM: 'Gifts <gifts@example.com>',
};

function problemsOf(env: Record<string, string>, schema: z.ZodObject = consumer): EnvironmentError {
  try {
    parseEnv(schema, env);
  } catch (error) {
    if (error instanceof EnvironmentError) return error;
    throw error;
  }
  throw new Error('the environment was accepted');
}

describe('what is set', () => {
  test('the required variables suffice; all others have their documented defaults', () => {
    expect(parseEnv(consumer, REQUIRED)).toMatchObject({
      ...REQUIRED,
      PUBLIC_URL: 'https://gifts.example.com',
      SMTP_URL: { host: 'localhost', port: 1025, secure: false, tls: 'required' },
      MAIL_FROM: { name: 'Gifts', address: 'gifts@example.com', domain: 'example.com' },
      DATABASE_POOL_MAX: 10,
      GIFTS_QUEUE_NAME: 'largesse-gifts',
      QUEUE_PROVISIONING: 'verify',
      LOG_LEVEL: 'info',
      LOG_FILE_MAX_BYTES: 50_000_000,
      LOG_FILE_MAX_COUNT: 5,
      METRICS_PORT: 9090,
      MAX_RETRY_COUNT: 5,
      MAX_IN_FLIGHT: 50,
      SHUTDOWN_GRACE_SECONDS: 25,
    });
    expect(parseEnv(z.object(variables.httpServerEnv), {})).toEqual({ PORT: 8080 });
  });

  test('an empty or blank variable counts as unset', () => {
    const env = parseEnv(consumer, {
      ...REQUIRED,
      METRICS_PORT: '',
      OTEL_EXPORTER_OTLP_ENDPOINT: '',
      LOG_FORMAT: ' ',
    });
    expect(env).toMatchObject({ METRICS_PORT: 9090 });
    expect(env.OTEL_EXPORTER_OTLP_ENDPOINT).toBeUndefined();
    expect(problemsOf({ ...REQUIRED, DATABASE_URL: '' }).problems).toEqual([
      expect.objectContaining({ variable: 'DATABASE_URL', problem: 'is not set' }),
    ]);
  });

  test('variables that nobody asked for are left out', () => {
    expect(parseEnv(consumer, { ...REQUIRED, HOME: '/root' })).not.toHaveProperty('HOME');
  });

  test.each([
    ['DATABASE_URL', 'postgresql:///largesse?host=/var/run/postgresql'],
    ['METRICS_PORT', '0'],
    ['AWS_REGION', 'us-gov-east-1'],
    ['MAIL_FROM', 'gifts@example.com'],
    ['SMTP_URL', 'smtps://user:p%40ss@mail.example.com:465'],
    ['MAX_RETRY_COUNT', '0'],
  ])('%s may be %s', (name, value) => {
    expect(() => parseEnv(consumer, { ...REQUIRED, [name]: value })).not.toThrow();
  });
});

describe('what is wrong', () => {
  test('every problem is told at once, each with the variable and its remedy', () => {
    const error = problemsOf({
      DATABASE_POOL_MAX: 'ten',
      AWS_REGION: 'eu',
      KEYRING_FILE: 'k',
      PUBLIC_URL: 'gifts.example.com',
      MAIL_FROM: 'g@e',
    });
    expect(error.code).toBe('environment_invalid');
    expect(error.message).toBe(
      [
        '4 problems in the environment need attention:',
        '',
        '  DATABASE_URL: is not set',
        '      Set it to a PostgreSQL URL: postgres://user:password@host:5432/largesse?sslmode=verify-full',
        '  DATABASE_POOL_MAX: is not a whole number from 1 to 1000',
        '      Set the most connections that one process may open (default 10).',
        '  PUBLIC_URL: is not a http:// or https:// URL',
        '      Set it to the address at which recipients reach the API, for example https://gifts.example.com',
        '  SMTP_URL: is not set',
        '      Set it to the mail server: smtp://user:password@host:587',
      ].join('\n'),
    );
  });

  test.each(['https://example.com/gifts', 'https://example.com/?a=b', 'https://example.com/#a'])(
    'a PUBLIC_URL of %s: claim links would not hold what comes after the host',
    (value) => {
      const [problem] = problemsOf({ ...REQUIRED, PUBLIC_URL: value }).problems;
      expect(problem).toMatchObject({
        variable: 'PUBLIC_URL',
        problem: 'has more than a scheme, a host and a port',
      });
    },
  );

  test('one problem alone is announced as one', () => {
    expect(problemsOf({ ...REQUIRED, QUEUE_PROVISIONING: 'maybe' }).message).toMatch(
      /^One environment variable needs attention:\n\n {2}QUEUE_PROVISIONING: invalid option/,
    );
  });

  test.each([
    [
      'PORT-like numbers',
      'METRICS_PORT',
      ['-1', '65536', '80.5', '0x50', '1e3', 'http', '99999999999999999999'],
    ],
    ['URLs', 'DATABASE_URL', ['localhost', 'mysql://localhost/x', 'mysql://db.example.com/x', 'postgres']],
    ['queue names', 'GIFTS_QUEUE_NAME', ['gifts.fifo', 'with space', 'x'.repeat(77)]],
    ['senders', 'MAIL_FROM', ['Gifts', 'Gifts <gifts>', 'a@b\r\nBcc: c@d']],
  ])('%s are checked strictly', (_, variable, values) => {
    for (const value of values) {
      expect(problemsOf({ ...REQUIRED, [variable]: value }).problems).toEqual([
        expect.objectContaining({ variable }),
      ]);
    }
  });

  test('a rule between variables speaks in its own words', () => {
    const schema = z
      .object({ LOW: z.string().optional(), HIGH: z.string().optional() })
      .refine(({ LOW, HIGH }) => LOW === undefined || HIGH !== undefined, {
        path: ['HIGH'],
        error: 'must be set when LOW is',
      });
    expect(problemsOf({ LOW: '1' }, schema).message).toContain('  HIGH: must be set when LOW is');
    const whole = z.object({}).refine(() => false, 'does not add up');
    expect(problemsOf({}, whole).message).toContain('  environment: does not add up');
  });

  test('P59: no value is ever printed, secret or not', () => {
    const names = Object.keys(consumer.shape);
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.string({ minLength: 12 }).filter((text) => text.trim().length >= 12),
        (name, value) => {
          const told = (() => {
            try {
              parseEnv(consumer, { ...REQUIRED, [name]: value });
              return '';
            } catch (error) {
              return String(error);
            }
          })();
          expect(told).not.toContain(value);
        },
      ),
    );
  });
});
