import fc from 'fast-check';
import type { FailureClass } from '../../../services/database/states.ts';
import { giftStates } from '../../../services/domain/gifts/gift.ts';
import { newId } from '../../../services/domain/ids.ts';
import { encodeEnvelope } from '../../../services/queue/envelope.ts';
import type { QueueMessage } from '../../../services/queue/message.ts';
import { readDeadLetter } from '../../../services/reconciler/dead-letter.ts';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import type { Policy, PolicyRule } from '../../../services/reconciler/policy.ts';
import { readPolicy } from '../../../services/reconciler/policy-document.ts';
import type { SeenLetter } from '../../../services/reconciler/seen-letter.ts';

export const classes: FailureClass[] = ['transient', 'permanent', 'poison', 'unknown'];

let serial = 0;

export function message(body: string, changes: Partial<QueueMessage> = {}): QueueMessage {
  serial += 1;
  return {
    messageId: `message-${serial}`,
    receiptHandle: `handle-${serial}`,
    body,
    attributes: {},
    systemAttributes: {},
    receiveCount: 1,
    sentAt: new Date(0),
    firstReceivedAt: new Date(0),
    ...changes,
  };
}

export function envelope(changes: Record<string, unknown> = {}): string {
  return encodeEnvelope({
    type: 'gift.deliver',
    version: 1,
    id: newId('gft'),
    occurred_at: '2026-11-21T10:00:00.000Z',
    attempt_hint: 0,
    ...changes,
  });
}

export function letter(changes: Partial<SeenLetter> = {}): SeenLetter {
  return {
    ...readDeadLetter(message(envelope())),
    class: 'transient',
    giftId: '01940000-0000-7000-8000-000000000000',
    giftState: 'queued',
    failureClass: 'transient',
    failureCode: 'mail_unreachable',
    leased: false,
    deadLetteredAt: null,
    deadForSeconds: 3_600,
    ageSeconds: 600,
    expiresInSeconds: 1_000_000,
    redrives: 0,
    pardoned: 0,
    lastRedriveAt: null,
    deathSeen: false,
    earlier: null,
    ...changes,
  };
}

export function standardPolicy(changes: Partial<Policy> = {}): Policy {
  const read = readPolicy(defaultPolicy);
  if ('problems' in read) throw new Error(JSON.stringify(read.problems));
  return { ...read.policy, ...changes };
}

const verdict = fc.constantFrom(
  'redrive' as const,
  'quarantine' as const,
  'discard' as const,
  'wait' as const,
);

export const anyRule: fc.Arbitrary<PolicyRule> = fc.record({
  name: fc.stringMatching(/^[a-z]{3,8}$/),
  verdict,
  match: fc.record(
    {
      classes: fc.subarray(classes, { minLength: 1 }),
      giftStates: fc.subarray(giftStates, { minLength: 1 }),
      minAgeSeconds: fc.nat(1_000),
      maxAgeSeconds: fc.nat(1_000),
      minRedrives: fc.nat(4),
      maxRedrives: fc.nat(4),
    },
    { requiredKeys: [] },
  ),
});

export const anyLetter: fc.Arbitrary<SeenLetter> = fc
  .record({
    class: fc.constantFrom(...classes),
    giftState: fc.option(fc.constantFrom(...giftStates)),
    leased: fc.boolean(),
    ageSeconds: fc.nat(1_200),
    redrives: fc.nat(5),
    expiresInSeconds: fc.option(fc.integer({ min: -1_000, max: 1_000_000 })),
    earlier: fc.option(
      fc.record({ verdict, rule: fc.option(fc.constant('earlier')), applied: fc.boolean() }),
    ),
  })
  .map((changes) =>
    letter({
      ...changes,
      // A verdict to wait is never applied.
      earlier: changes.earlier?.verdict === 'wait' ? { ...changes.earlier, applied: false } : changes.earlier,
    }),
  );
