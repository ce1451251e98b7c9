import { z } from 'zod';

const time = (what: string) => z.iso.datetime().describe(what);
const count = (what: string) => z.int().min(0).describe(what);

const conditionSchema = z.object({
  type: z.enum(['Ready', 'Succeeded', 'CircuitClosed', 'QuarantineAllowed', 'MoveTasksListed']),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().max(1_024).describe('For programs, in CamelCase.'),
  message: z.string().max(32_768).describe('For people.'),
  lastTransitionTime: time('When status changed last.'),
  observedGeneration: z.int().min(0).optional().describe('Of the spec that was looked at.'),
});

/** `status` of a DeadLetterPolicy. Counts only: its size does not grow with the queue. */
export const policyStatusSchema = z.object({
  observedGeneration: z.int().min(0).optional().describe('Of the spec that the last run went by.'),
  conditions: z.array(conditionSchema).max(32).describe('How the policy and its queue stand.'),
  lastRun: z
    .object({
      startedAt: time('When it began.'),
      finishedAt: time('When it ended.'),
      dryRun: z.boolean().describe('True: the counts are what a real run would have done.'),
      scanned: count('Dead letters looked at.'),
      redriven: count('Sent to their queue again.'),
      quarantined: count('Kept in the database, their gifts failed and the money returned.'),
      discarded: count('Deleted.'),
      waiting: count('Left where they are.'),
      errors: count('What could not be sent or deleted; the next run goes on with it.'),
    })
    .optional()
    .describe('The last run that looked at the queue.'),
  deadLetters: count('Messages left in the dead-letter queue, about.').optional(),
});

export type PolicyStatus = z.output<typeof policyStatusSchema>;
export type Condition = PolicyStatus['conditions'][number];

/** What others reported beside us, or another release wrote, is left out as far as it is not understood. */
export function readPolicyStatus(status: unknown): PolicyStatus | null {
  const { conditions } = Object(status) as { conditions?: unknown };
  const ours = (Array.isArray(conditions) ? conditions : []).filter(
    (condition) => conditionSchema.safeParse(condition).success,
  );
  const result = policyStatusSchema.safeParse({ ...Object(status), conditions: ours });
  return result.success && ours.length > 0 ? result.data : null;
}
