import { z } from 'zod';
import { giftStates } from '../domain/gifts/gift.ts';
import { durationPattern, durationSeconds } from './duration.ts';
import type { Policy, PolicyRule } from './policy.ts';

const duration = z
  .string()
  .regex(durationPattern, 'is no duration; write it like 30s, 5m, 12h or 7d')
  .describe('a duration such as 30s, 5m, 12h or 7d');
const ruleName = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and -');

const matchSchema = z.strictObject({
  classes: z
    .array(z.enum(['transient', 'permanent', 'poison', 'unknown']))
    .min(1)
    .optional(),
  giftStates: z.array(z.enum(giftStates)).min(1).optional(),
  types: z
    .array(z.enum(['gift.deliver', 'delivery.send']))
    .min(1)
    .optional(),
  reasons: z.array(z.string().min(1).max(256)).min(1).max(100).optional(),
  minAge: duration.optional(),
  maxAge: duration.optional(),
  minRedrives: z.int().min(0).max(1_000).optional(),
  maxRedrives: z.int().min(0).max(1_000).optional(),
});

const ruleSchema = z.strictObject({
  name: ruleName,
  match: matchSchema,
  verdict: z.enum(['redrive', 'quarantine', 'discard', 'wait']),
});

const specSchema = z.strictObject({
  queue: z.enum(['gifts']),
  suspend: z.boolean().default(false),
  dryRun: z.boolean().default(false),
  limits: z
    .strictObject({
      // SQS lets 120,000 messages of a queue be in flight; a run holds what it looks at.
      maxMessages: z.int().min(1).max(100_000).default(10_000),
      ratePerSecond: z.int().min(1).max(100_000).default(200),
      maxRedrives: z.int().min(0).max(1_000).default(3),
      quarantineMinAge: duration.default('10m'),
    })
    .prefault({}),
  circuitBreaker: z
    .strictObject({
      window: duration.default('10m'),
      maxFailureRatio: z.number().min(0).max(1).default(0.5),
      minSamples: z.int().min(1).max(100_000).default(20),
    })
    .prefault({}),
  quarantineBreaker: z
    .strictObject({
      window: duration.default('1h'),
      maxRatio: z.number().min(0).max(1).default(0.3),
      minSamples: z.int().min(1).max(100_000).default(10),
      maxCount: z.int().min(1).max(1_000_000).optional(),
    })
    .prefault({}),
  rules: z.array(ruleSchema).min(1).max(100),
});

/** A DeadLetterPolicy, `largesse.dev/v1alpha1`: the same for a file and for the custom resource. */
export const deadLetterPolicySchema = z.strictObject({
  apiVersion: z.literal('largesse.dev/v1alpha1'),
  kind: z.literal('DeadLetterPolicy'),
  // A cluster adds fields of its own.
  metadata: z.looseObject({
    name: z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/, 'must be a DNS name in lower case'),
    generation: z.int().min(1).optional(),
  }),
  spec: specSchema,
  status: z.unknown().optional(),
});

export type DeadLetterPolicyResource = z.output<typeof deadLetterPolicySchema>;
export type DeadLetterPolicySpec = DeadLetterPolicyResource['spec'];

/** Durations become seconds; nothing else changes. */
export function toPolicy({ metadata, spec }: DeadLetterPolicyResource): Policy {
  const { window, ...breaker } = spec.circuitBreaker;
  const { quarantineMinAge, ...limits } = spec.limits;
  const { window: quarantineWindow, ...quarantine } = spec.quarantineBreaker;
  return {
    name: metadata.name,
    generation: metadata.generation ?? null,
    queue: spec.queue,
    suspend: spec.suspend,
    dryRun: spec.dryRun,
    limits: { ...limits, quarantineMinAgeSeconds: durationSeconds(quarantineMinAge) },
    circuitBreaker: { ...breaker, windowSeconds: durationSeconds(window) },
    quarantineBreaker: {
      ...quarantine,
      windowSeconds: durationSeconds(quarantineWindow),
      maxCount: quarantine.maxCount ?? null,
    },
    rules: spec.rules.map(toRule),
  };
}

function toRule({ name, verdict, match }: DeadLetterPolicySpec['rules'][number]): PolicyRule {
  const { minAge, maxAge, ...rest } = match;
  return {
    name,
    verdict,
    match: {
      ...rest,
      minAgeSeconds: minAge === undefined ? undefined : durationSeconds(minAge),
      maxAgeSeconds: maxAge === undefined ? undefined : durationSeconds(maxAge),
    },
  };
}
