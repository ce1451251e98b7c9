import { describe, expect, test } from '@jest/globals';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import { type FoundPolicy, oneForEachQueue } from '../../../services/reconciler/found-policy.ts';
import { readPolicy, readStoredPolicy } from '../../../services/reconciler/policy-document.ts';
import { standardPolicy } from './letters.ts';

const stored = (spec: object) => ({
  ...defaultPolicy,
  metadata: { name: 'gifts', uid: 'one', generation: 2 },
  spec: { ...defaultPolicy.spec, ...spec },
});

describe('a policy out of a cluster whose definition is newer than this release', () => {
  test('works as it did before: fields that came later have no effect, and are named', () => {
    const limits = { ...defaultPolicy.spec.limits, maxValue: 5 };
    const read = readStoredPolicy(stored({ limits, priority: 'high' }));
    expect(read).toMatchObject({ ignored: ['spec.limits.maxValue', 'spec.priority'] });
    expect(read).toMatchObject({ policy: (readPolicy(stored({})) as { policy: object }).policy });
  });

  test('is not understood when a rule has a criterion that came later: without it the rule would match more', () => {
    const rules = [{ name: 'large', match: { minValue: 100 }, verdict: 'quarantine' }];
    const read = readStoredPolicy(stored({ rules }));
    expect(read).toMatchObject({ problems: [{ path: 'spec.rules[0].match.minValue' }], ignored: [] });
  });

  test('is not understood when it uses a verdict or a queue that came later', () => {
    const rules = [{ name: 'all', match: {}, verdict: 'forward' }];
    expect(readStoredPolicy(stored({ rules }))).toHaveProperty('problems');
    expect(readStoredPolicy(stored({ queue: 'batches' }))).toHaveProperty('problems');
  });
});

test('of two policies for one queue the first is in force, and the other says which', () => {
  const found = (name: string): FoundPolicy => ({
    name,
    generation: 1,
    content: { policy: standardPolicy() },
    previousStatus: null,
    publish: () => Promise.resolve(),
    follow: () => ({ stopped: new AbortController().signal, end: () => undefined }),
  });
  const broken: FoundPolicy = { ...found('broken'), content: { problems: [] } };
  const [first, second, third] = oneForEachQueue([broken, found('one'), found('two')]);
  expect(first?.content).toEqual({ problems: [] });
  expect(second?.content).toHaveProperty('policy');
  expect(third?.content).toEqual({
    problems: [{ path: 'spec.queue', message: '"gifts" has policy one already; keep one of them' }],
  });
});
