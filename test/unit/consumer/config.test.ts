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
  test('contain each other: mail < handler < settling < lease <= visibility', () => {
    const config = readConfig(env);
    const leaseMs = config.LEASE_SECONDS * 1_000;
    expect(config.mailTimeoutMs).toBeLessThan(config.handlerTimeoutMs);
    expect(config.handlerTimeoutMs + config.abortGraceMs).toBeLessThan(leaseMs);
    expect(config.LEASE_SECONDS).toBeLessThanOrEqual(config.VISIBILITY_TIMEOUT_SECONDS);
  });

  test.each([
    [{ HANDLER_TIMEOUT_SECONDS: '60', LEASE_SECONDS: '60' }, 'HANDLER_TIMEOUT_SECONDS'],
    [{ LEASE_SECONDS: '61' }, 'LEASE_SECONDS'],
    [{ RETRY_BASE_MS: '5000', RETRY_CAP_MS: '4000' }, 'RETRY_BASE_MS'],
    [{ SHUTDOWN_GRACE_SECONDS: '2' }, 'SHUTDOWN_GRACE_SECONDS'],
  ])('%j is refused at %s', (changes, variable) => {
    expect(problemsOf(changes)).toEqual([variable]);
  });

  test('are refused with a sentence that names the failure', () => {
    expect(() => readConfig({ ...env, HANDLER_TIMEOUT_SECONDS: '60' })).toThrow(
      /60 is not below LEASE_SECONDS \(60\): a second process could send the same mail/,
    );
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
