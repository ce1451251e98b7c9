import { z } from 'zod';
import { parseEnv } from '../runtime/env.ts';
import {
  databaseEnv,
  deadLetterPolicyEnv,
  deliveryEnv,
  kubernetesEnv,
  loggingEnv,
  shutdownEnv,
  sqsEnv,
  tracingEnv,
} from '../runtime/env-variables.ts';

export type ReconcilerConfig = ReturnType<typeof readConfig>;

/** @throws EnvironmentError with every problem at once */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  return parseEnv(reconcilerEnv, env);
}

export const reconcilerEnv = z.object({
  ...databaseEnv,
  ...sqsEnv,
  ...deadLetterPolicyEnv,
  ...kubernetesEnv,
  // The consumer's own settings: the sweep must know how long a gift may stand still that has its message.
  LEASE_SECONDS: deliveryEnv.LEASE_SECONDS,
  RETRY_CAP_MS: deliveryEnv.RETRY_CAP_MS,
  ...loggingEnv,
  ...shutdownEnv,
  ...tracingEnv,
});
