import { z } from 'zod';
import { shutdownReserveMs } from '../queue/consumer-options.ts';
import { parseEnv } from '../runtime/env.ts';
import {
  adminServerEnv,
  databaseEnv,
  deliveryEnv,
  keyringEnv,
  loggingEnv,
  mailEnv,
  processingEnv,
  publicUrlEnv,
  shutdownEnv,
  smtpTimesEnv,
  sqsEnv,
  tracingEnv,
} from '../runtime/env-variables.ts';
import type { SmtpTimes } from './smtp-clock.ts';

export type ConsumerConfig = ReturnType<typeof readConfig>;

/** @throws EnvironmentError with every problem at once */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  const parsed = parseEnv(consumerEnv, env);
  const smtpTimes = smtpTimesOf(parsed);
  const { connect, greeting, command, data, content, acceptance } = smtpTimes;
  // EHLO, STARTTLS, EHLO again, and a login of two steps.
  const connectionWaitMs = connect + greeting + 5 * command;
  // MAIL FROM and RCPT TO, then what the server is given and says to it.
  const mailMs = 2 * command + data + content + acceptance;
  // The rest of the grace period is for what stops after the consumer: connections, tracer, log.
  const graceMs = parsed.SHUTDOWN_GRACE_SECONDS * 1_000;
  const consumerGraceMs = graceMs - Math.min(750, graceMs / 4);
  const pollEndMs = consumerGraceMs - shutdownReserveMs(consumerGraceMs);
  return {
    ...parsed,
    smtpTimes,
    retry: {
      maxRetryCount: parsed.MAX_RETRY_COUNT,
      baseMs: parsed.RETRY_BASE_MS,
      capMs: parsed.RETRY_CAP_MS,
      forgives: parsed.MAIL_PAUSE,
      inDoubtRepeats: parsed.MAIL_IN_DOUBT_REPEATS,
      inDoubtPauseSeconds: parsed.MAIL_IN_DOUBT_PAUSE_SECONDS,
    },
    connectionWaitMs,
    // A handler's deadline never cuts what the protocol allows; silence ends a mail long before.
    handlerTimeoutMs: connectionWaitMs + mailMs + settleReserveMs,
    abortGraceMs: settleReserveMs,
    consumerGraceMs,
    // The open poll is left to end by itself at shutdown, so it must be shorter than what a shutdown may take.
    waitTimeSeconds: Math.min(20, Math.ceil(pollEndMs / 1_000) - 1),
  };
}

/** What comes after a mail, recording its outcome, must fit in as well. */
const settleReserveMs = 5_000;

function smtpTimesOf(env: z.output<z.ZodObject<typeof smtpTimesEnv>>): SmtpTimes {
  return {
    connect: env.SMTP_CONNECT_TIMEOUT_SECONDS * 1_000,
    greeting: env.SMTP_GREETING_TIMEOUT_SECONDS * 1_000,
    command: env.SMTP_COMMAND_TIMEOUT_SECONDS * 1_000,
    data: env.SMTP_DATA_TIMEOUT_SECONDS * 1_000,
    content: env.SMTP_CONTENT_TIMEOUT_SECONDS * 1_000,
    acceptance: env.SMTP_ACCEPTANCE_TIMEOUT_SECONDS * 1_000,
  };
}

type Env = {
  LEASE_SECONDS: number;
  VISIBILITY_TIMEOUT_SECONDS: number;
  RETRY_BASE_MS: number;
  RETRY_CAP_MS: number;
  SHUTDOWN_GRACE_SECONDS: number;
};

export const consumerEnv = z
  .object({
    ...databaseEnv,
    ...sqsEnv,
    ...keyringEnv,
    ...publicUrlEnv,
    ...mailEnv,
    ...smtpTimesEnv,
    ...processingEnv,
    ...deliveryEnv,
    ...adminServerEnv,
    ...loggingEnv,
    ...shutdownEnv,
    ...tracingEnv,
  })
  .superRefine((env, context) => {
    for (const { variable, problem } of relations) {
      const message = problem(env);
      if (message !== null) context.addIssue({ code: 'custom', path: [variable], message });
    }
  });

/** What two variables must be to each other. Each breach names the failure that it would lead to. */
const relations: { variable: keyof Env; problem: (env: Env) => string | null }[] = [
  {
    variable: 'LEASE_SECONDS',
    problem: ({ LEASE_SECONDS: lease, VISIBILITY_TIMEOUT_SECONDS: visibility }) =>
      lease <= visibility
        ? null
        : `${lease} is above VISIBILITY_TIMEOUT_SECONDS (${visibility}): the message of a process that died would come back before its gift may be claimed`,
  },
  {
    variable: 'RETRY_BASE_MS',
    problem: ({ RETRY_BASE_MS: base, RETRY_CAP_MS: cap }) =>
      base <= cap ? null : `${base} is above RETRY_CAP_MS (${cap}): no pause could ever grow`,
  },
  {
    variable: 'SHUTDOWN_GRACE_SECONDS',
    problem: ({ SHUTDOWN_GRACE_SECONDS: grace }) =>
      grace >= 3 ? null : `${grace} is below 3: an open poll of the queue could not end by itself`,
  },
];
