import { z } from 'zod';
import { giftStates } from '../domain/gifts/gift.ts';
import { durationPattern, durationSeconds, maxDurationLength } from './duration.ts';
import type { Policy, PolicyRule } from './policy.ts';

const noDuration = 'is no duration; write it like 30s, 5m, 12h or 7d';
const duration = (what: string) =>
  z
    .string()
    .min(1, noDuration)
    .max(maxDurationLength, { error: noDuration, abort: true })
    .regex(durationPattern, noDuration)
    .describe(`${what}; a duration such as 30s, 5m, 12h or 7d.`);
const noRuleName = 'must be lower-case letters, digits and -, at most 63';
const ruleName = z
  .string()
  .max(63, { error: noRuleName, abort: true })
  .regex(/^[a-z][a-z0-9-]*$/, noRuleName)
  .describe('Name of the rule in records, logs and tables: lower-case letters, digits and -.');

const matchSchema = z
  .strictObject({
    classes: z
      .array(z.enum(['transient', 'permanent', 'poison', 'unknown']))
      .min(1)
      .max(4)
      .optional()
      .describe('Why the message died; one that the queue moved by itself is unknown.'),
    giftStates: z
      .array(z.enum(giftStates))
      .min(1)
      .max(giftStates.length)
      .optional()
      .describe("The gift's state when the run looks at the message."),
    types: z
      .array(z.enum(['gift.deliver', 'delivery.send']))
      .min(1)
      .max(2)
      .optional()
      .describe('Type of the message.'),
    reasons: z
      .array(z.string().min(1, 'must not be empty').max(256, 'must have at most 256 characters'))
      .min(1)
      .max(100)
      .optional()
      .describe('Code of the failure that the message died of, such as mail_unreachable.'),
    minAge: duration('Least time since the message was sent').optional(),
    maxAge: duration('Most time since the message was sent').optional(),
    minRedrives: z.int().min(0).max(1_000).optional().describe('Least number of earlier redrives.'),
    maxRedrives: z.int().min(0).max(1_000).optional().describe('Most number of earlier redrives.'),
  })
  .describe(
    'What a message must be like. All criteria that are given have to hold; {} matches every message.',
  );

const ruleSchema = z.strictObject({
  name: ruleName,
  match: matchSchema,
  verdict: z
    .enum(['redrive', 'quarantine', 'discard', 'wait'])
    .describe(
      'redrive: send it to its queue again. quarantine: keep it in the database, fail its gift and return the money. discard: delete it. wait: leave it where it is.',
    ),
});

const specSchema = z.strictObject({
  queue: z
    .enum(['gifts'])
    .describe('Role of the queue. Its dead-letter queue is found through its redrive policy.'),
  suspend: z
    .boolean()
    .default(false)
    .describe('True: runs look at nothing, and one that is under way stops at its next batch.'),
  dryRun: z
    .boolean()
    .default(false)
    .describe('True: runs look and report what they would do, but send, delete and change nothing.'),
  limits: z
    .strictObject({
      // SQS lets 120,000 messages of a queue be in flight; a run holds what it looks at.
      maxMessages: z
        .int()
        .min(1)
        .max(100_000)
        .default(10_000)
        .describe('Dead letters that one run looks at, at most.'),
      ratePerSecond: z.int().min(1).max(100_000).default(200).describe('Messages redriven per second.'),
      maxRedrives: z
        .int()
        .min(0)
        .max(1_000)
        .default(3)
        .describe('A message that died after so many redrives, and of its own fault, is quarantined.'),
      quarantineMinAge: duration('Dead for less than this, a message is never quarantined').default('10m'),
    })
    .prefault({})
    .describe('What one run may do.'),
  circuitBreaker: z
    .strictObject({
      window: duration('How long a redrive counts, and how long the open circuit waits').default('10m'),
      maxFailureRatio: z
        .number()
        .min(0)
        .max(1)
        .default(0.5)
        .describe('Share of the redriven messages that died again, above which the circuit opens.'),
      minSamples: z
        .int()
        .min(1)
        .max(100_000)
        .default(20)
        .describe('With fewer redrives within the window the share says nothing.'),
    })
    .prefault({})
    .describe('Stops redriving while it does not help.'),
  quarantineBreaker: z
    .strictObject({
      window: duration('How long a death counts').default('1h'),
      maxRatio: z
        .number()
        .min(0)
        .max(1)
        .default(0.3)
        .describe(
          'Share of the gifts that ended within the window which died, above which the breaker trips.',
        ),
      minSamples: z
        .int()
        .min(1)
        .max(100_000)
        .default(10)
        .describe('With fewer dead within the window the share says nothing.'),
      maxCount: z
        .int()
        .min(1)
        .max(1_000_000)
        .optional()
        .describe('Dead within the window, whatever their share, above which the breaker trips.'),
    })
    .prefault({})
    .describe(
      'Stops quarantining, until a person releases it, when so many die that it is hardly their own fault.',
    ),
  rules: z
    .array(ruleSchema)
    .min(1)
    .max(100)
    .describe('What happens to a dead letter: the first rule that matches decides; what none matches waits.'),
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
