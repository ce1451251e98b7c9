import type { z } from 'zod';
import type { deadLetterPolicySchema } from './policy-resource.ts';

/** In force where no policy is given. */
export const defaultPolicy: z.input<typeof deadLetterPolicySchema> = {
  apiVersion: 'largesse.dev/v1alpha1',
  kind: 'DeadLetterPolicy',
  metadata: { name: 'default' },
  spec: {
    queue: 'gifts',
    suspend: false,
    dryRun: false,
    limits: { maxMessages: 10_000, ratePerSecond: 200, maxRedrives: 3, quarantineMinAge: '10m' },
    circuitBreaker: { window: '10m', maxFailureRatio: 0.5, minSamples: 20 },
    quarantineBreaker: { window: '1h', maxRatio: 0.3, minSamples: 10 },
    rules: [
      { name: 'poison', match: { classes: ['poison'] }, verdict: 'quarantine' },
      {
        name: 'settled',
        match: { giftStates: ['delivered', 'claimed', 'cancelled', 'rejected', 'expired'] },
        verdict: 'discard',
      },
      { name: 'transient', match: { classes: ['transient', 'unknown'], minAge: '5m' }, verdict: 'redrive' },
      { name: 'permanent', match: { classes: ['permanent'] }, verdict: 'quarantine' },
    ],
  },
};
