import { describe, expect, test } from '@jest/globals';
import {
  byAge,
  type PolicyObject,
  statusOf,
  whyStop,
} from '../../../../services/reconciler/kubernetes/policy-object.ts';

function object(
  metadata: Partial<PolicyObject['metadata']> = {},
  spec: PolicyObject['spec'] = {},
): PolicyObject {
  return {
    metadata: { name: 'gifts', uid: 'one', ...metadata },
    spec: { suspend: false, dryRun: false, ...spec },
  };
}

describe('a policy that changes while its run goes on', () => {
  test.each<[string, PolicyObject | null, string | null]>([
    ['is gone', null, 'the policy was deleted during the run'],
    [
      'is being deleted',
      object({ deletionTimestamp: '2026-11-28T12:00:00Z' }),
      'the policy was deleted during the run',
    ],
    ['was made anew under its name', object({ uid: 'two' }), 'the policy was deleted during the run'],
    ['is suspended', object({}, { suspend: true }), 'the policy was suspended during the run'],
    ['is a dry run now', object({}, { dryRun: true }), 'the policy was changed to a dry run during the run'],
    ['has another generation and other rules', object({ generation: 2 }), null],
  ])('stops it, or not: one that %s', (_what, now, expected) => {
    expect(whyStop(object(), now)).toBe(expected);
  });

  test('a dry run is not stopped for being one', () => {
    const dry = object({}, { dryRun: true });
    expect(whyStop(dry, dry)).toBeNull();
  });
});

test('policies are in the order in which they were made, and of one second by their names', () => {
  const made = (name: string, second: number) =>
    object({ name, creationTimestamp: `2026-11-28T12:00:0${second}Z` });
  const sorted = [made('b', 2), made('c', 1), made('a', 2)].toSorted(byAge);
  expect(sorted.map(({ metadata }) => metadata.name)).toEqual(['c', 'a', 'b']);
});

describe('the status that was published before', () => {
  const condition = {
    type: 'Ready',
    status: 'True',
    reason: 'PolicyAccepted',
    message: '',
    lastTransitionTime: '2026-11-28T12:00:00Z',
  };

  test('is known in spite of conditions of others, fields of later releases, and what makes no sense', () => {
    const status = {
      observedGeneration: 2,
      conditions: [condition, { type: 'Approved', status: 'True' }],
      more: 1,
    };
    expect(statusOf({ ...object(), status })).toEqual({ observedGeneration: 2, conditions: [condition] });
  });

  test.each([undefined, null, {}, { conditions: [] }, { conditions: 'none' }, 'text'])(
    'is none: %p',
    (status) => {
      expect(statusOf({ ...object(), status })).toBeNull();
    },
  );
});
