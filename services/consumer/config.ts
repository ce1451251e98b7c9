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
  sqsEnv,
  tracingEnv,
} from '../runtime/env-variables.ts';

export type ConsumerConfig = ReturnType<typeof readConfig>;

/** @throws EnvironmentError with every problem at once */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  const parsed = parseEnv(consumerEnv, env);
  const handlerTimeoutMs = parsed.HANDLER_TIMEOUT_SECONDS * 1_000;
  // What comes after the mail, recording its outcome, must fit in as well: a fifth of the time, 5 s at most.
  const reserveMs = Math.min(5_000, handlerTimeoutMs / 5);
  // The lease has to outlast the last moment at which a handler may still settle.
  const abortGraceMs = Math.min(5_000, ((parsed.LEASE_SECONDS - parsed.HANDLER_TIMEOUT_SECONDS) * 1_000) / 2);
  // The rest of the grace period is for what stops after the consumer: connections, tracer, log.
  const graceMs = parsed.SHUTDOWN_GRACE_SECONDS * 1_000;
  const consumerGraceMs = graceMs - Math.min(750, graceMs / 4);
  const pollEndMs = consumerGraceMs - shutdownReserveMs(consumerGraceMs);
  return {
    ...parsed,
    handlerTimeoutMs,
    abortGraceMs,
    mailTimeoutMs: handlerTimeoutMs - reserveMs,
    consumerGraceMs,
    // The open poll is left to end by itself at shutdown, so it must be shorter than what a shutdown may take.
    waitTimeSeconds: Math.min(20, Math.ceil(pollEndMs / 1_000) - 1),
  };
}

type Env = {
  HANDLER_TIMEOUT_SECONDS: number;
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
    variable: 'HANDLER_TIMEOUT_SECONDS',
    problem: ({ HANDLER_TIMEOUT_SECONDS: handler, LEASE_SECONDS: lease }) =>
      handler < lease
        ? null
        : `${handler} is not below LEASE_SECONDS (${lease}): a second process could send the same mail while the first still tries`,
  },
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
