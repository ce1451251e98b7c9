import { describe, expect, test } from '@jest/globals';
import { readConfig } from '../../../services/consumer/config.ts';
import { resolveOptions } from '../../../services/queue/consumer-options.ts';
import { EnvironmentError } from '../../../services/runtime/env.ts';

const env = {
  DATABASE_URL: 'postgres://largesse@localhost/largesse',
  AWS_REGION: 'eu-central-1',
  KEYRING_FILE: '/etc/largesse/keyring.json',
  PUBLIC_URL: 'https://gifts.example.com/',
  SMTP_URL: 'smtp://localhost:25',
  MAIL_FROM: 'gifts@example.com',
};

const problemsOf = (changes: Record<string, string>) => {
  try {
    readConfig({ ...env, ...changes });
  } catch (error) {
    if (error instanceof EnvironmentError) return error.problems.map(({ variable }) => variable);
    throw error;
  }
  return [];
};

describe('the times of one attempt', () => {
  test('follow from those of the protocol: whatever a mail server may take, no deadline of ours comes first', () => {
    const config = readConfig(env);
    expect(config.smtpTimes).toEqual({
      connect: 30_000,
      greeting: 300_000,
      command: 300_000,
      data: 120_000,
      content: 180_000,
      acceptance: 600_000,
    });
    const { connect, greeting, command, data, content, acceptance } = config.smtpTimes;
    expect(config.connectionWaitMs).toBe(connect + greeting + 5 * command);
    expect(config.handlerTimeoutMs).toBeGreaterThan(
      config.connectionWaitMs + 2 * command + data + content + acceptance,
    );
    // SQS hides a message for 12 h at most.
    const longest = Object.fromEntries(
      ['CONNECT', 'GREETING', 'COMMAND', 'DATA', 'CONTENT', 'ACCEPTANCE'].map((phase) => [
        `SMTP_${phase}_TIMEOUT_SECONDS`,
        '1800',
      ]),
    );
    expect(readConfig({ ...env, ...longest }).handlerTimeoutMs).toBeLessThan(11 * 3_600_000);
    expect(config.LEASE_SECONDS).toBeLessThanOrEqual(config.VISIBILITY_TIMEOUT_SECONDS);
  });

  test.each([
    [{ LEASE_SECONDS: '61' }, 'LEASE_SECONDS'],
    [{ SMTP_ACCEPTANCE_TIMEOUT_SECONDS: '0' }, 'SMTP_ACCEPTANCE_TIMEOUT_SECONDS'],
    [{ RETRY_BASE_MS: '5000', RETRY_CAP_MS: '4000' }, 'RETRY_BASE_MS'],
    [{ SHUTDOWN_GRACE_SECONDS: '2' }, 'SHUTDOWN_GRACE_SECONDS'],
  ])('%j is refused at %s', (changes, variable) => {
    expect(problemsOf(changes)).toEqual([variable]);
  });
});

describe('every grace period that is accepted', () => {
  test.each([3, 4, 5, 10, 25, 26, 30, 60, 3_600])('of %i s suits the queue runtime', (seconds) => {
    const config = readConfig({ ...env, SHUTDOWN_GRACE_SECONDS: String(seconds) });
    const url = 'http://localhost:4566/000000000000/gifts';
    const resolved = resolveOptions({
      clients: { receiving: {}, settling: {}, destroy: () => undefined } as never,
      queue: { name: 'gifts', url, deadLetterUrl: `${url}-dlq`, visibilityTimeoutSeconds: 60 },
      handler: () => Promise.resolve({ kind: 'done' }),
      graceMs: config.consumerGraceMs,
      waitTimeSeconds: config.waitTimeSeconds,
      handlerTimeoutMs: config.handlerTimeoutMs,
      abortGraceMs: config.abortGraceMs,
      maxInFlight: config.MAX_IN_FLIGHT,
    });
    expect(resolved.graceMs).toBeLessThan(seconds * 1_000);
    expect(resolved.waitTimeSeconds).toBeGreaterThanOrEqual(1);
  });

  test('of the usual 25 s leaves the idle poll its full 20 s', () => {
    expect(readConfig(env).waitTimeSeconds).toBe(20);
  });
});
