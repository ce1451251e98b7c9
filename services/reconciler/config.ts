import { z } from 'zod';
import { parseEnv } from '../runtime/env.ts';
import {
  databaseEnv,
  deadLetterPolicyEnv,
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

const reconcilerEnv = z.object({
  ...databaseEnv,
  ...sqsEnv,
  ...deadLetterPolicyEnv,
  ...loggingEnv,
  ...shutdownEnv,
  ...tracingEnv,
});
