import { z } from 'zod';
import {
  adminServerEnv,
  databaseEnv,
  httpServerEnv,
  keyringEnv,
  loggingEnv,
  processingEnv,
  publicUrlEnv,
  shutdownEnv,
  sqsEnv,
  tracingEnv,
  wholeNumber,
} from '../runtime/env-variables.ts';
import { EverybodyTrustedError, readNetworks, type TrustedProxies } from './middleware/client-address.ts';

const budget = (quota: number, what: string) =>
  wholeNumber(1, 1_000_000_000)
    .default(quota)
    .describe(`Set how many requests per minute ${what} (default ${quota}).`);

/** What the API reads from its environment. */
export const apiEnv = z.object({
  ...databaseEnv,
  ...sqsEnv,
  ...keyringEnv,
  ...publicUrlEnv,
  ...httpServerEnv,
  ...adminServerEnv,
  ...loggingEnv,
  ...shutdownEnv,
  ...tracingEnv,
  MAX_RETRY_COUNT: processingEnv.MAX_RETRY_COUNT,
  TRUST_PROXY: z
    .string()
    .optional()
    .transform(toTrustProxy)
    .describe(
      'Set how many proxies stand before the API, or their networks (10.0.0.0/8, …); left out, X-Forwarded-For counts for nothing.',
    ),
  RATE_LIMIT_IP_PER_MINUTE: budget(6_000, 'one network may make'),
  RATE_LIMIT_KEY_PER_MINUTE: budget(6_000, 'one API key may make'),
  RATE_LIMIT_CLAIM_PER_MINUTE: budget(60, 'one network may make on claim pages'),
  RESEND_COOLDOWN_SECONDS: wholeNumber(0, 86_400)
    .default(300)
    .describe('Set the seconds between two mails of one gift that a sender asks for (default 300).'),
  RESEND_LIMIT: wholeNumber(0, 1_000)
    .default(5)
    .describe('Set how often a sender may have a gift mailed again (default 5).'),
  REMIND_BEFORE_SECONDS: wholeNumber(60, 31_622_400)
    .default(259_200)
    .describe('Set how long before its end the recipient of a gift is reminded (default 259200, 3 days).'),
});

export type ApiConfig = z.output<typeof apiEnv>;

function toTrustProxy(text: string | undefined, context: z.RefinementCtx): TrustedProxies {
  if (text === undefined) return false;
  if (/^\d{1,2}$/.test(text)) return Number(text);
  try {
    return readNetworks(text);
  } catch (error) {
    context.addIssue(
      error instanceof EverybodyTrustedError
        ? 'trusts everybody, so that anybody could say who they are: name the networks of your proxies'
        : 'is neither a number of proxies nor a list of networks',
    );
    return z.NEVER;
  }
}
