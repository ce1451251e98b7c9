import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ApiClient } from '../../../services/reconciler/kubernetes/api-client.ts';
import { KubernetesError } from '../../../services/reconciler/kubernetes/kubernetes-error.ts';
import { policyChecks } from '../../../services/reconciler/policy-checks.ts';
import { readPolicy } from '../../../services/reconciler/policy-document.ts';
import { run } from '../support/command.ts';
import { createNamespace, type Namespace } from '../support/namespace.ts';
import { clientFor, installDefinition, type PolicyDocument, policyNamed } from '../support/policies.ts';

let namespace: Namespace;
let client: ApiClient;
beforeAll(async () => {
  await installDefinition();
  namespace = await createNamespace('largesse-definition');
  client = await clientFor(namespace);
});
afterAll(async () => {
  client?.close();
  await namespace?.remove();
});

/** All that the API server has said against policies. */
const heard: string[] = [];

type Change = (policy: PolicyDocument) => unknown;
type Stored = { spec: Record<string, Record<string, unknown>> };

/** What the API server would store of a policy, or what it says against it. */
async function offer(change: Change): Promise<Stored | { refused: string }> {
  const path = `/apis/largesse.dev/v1alpha1/namespaces/${namespace.name}/deadletterpolicies`;
  const body = policyNamed('offered', change);
  try {
    return await client.request<Stored>({ method: 'POST', path, query: { dryRun: 'All' }, body });
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 422) throw error;
    heard.push(error.message);
    return { refused: error.message };
  }
}

const rule = (changes: object) =>
  ({ name: 'more', match: { classes: ['unknown'] }, verdict: 'wait', ...changes }) as never;
const add =
  (...changes: object[]): Change =>
  ({ spec }) =>
    spec.rules.push(...changes.map(rule));
const first =
  (changes: object): Change =>
  ({ spec }) =>
    spec.rules.unshift(rule(changes));
const set =
  (spec: object): Change =>
  (policy) =>
    Object.assign(policy.spec, spec);
const several =
  (...changes: Change[]): Change =>
  (policy) =>
    changes.map((change) => change(policy));

const longWindow = { circuitBreaker: { window: '30d' } };

describe('what the API server takes, the reconciler takes', () => {
  test.each<[string, Change]>([
    ['the default policy', () => undefined],
    [
      'one without limits and breakers',
      ({ spec }) =>
        ['limits', 'circuitBreaker', 'quarantineBreaker'].map((name) => Reflect.deleteProperty(spec, name)),
    ],
    ['a last rule that matches everything', add({ match: {} })],
    ['one rule that matches everything', set({ rules: [rule({ match: {} })] })],
    [
      'a hundred rules',
      set({ rules: Array.from({ length: 100 }, (_, index) => rule({ name: `rule-${index}` })) }),
    ],
    ['ages in different units', add({ match: { minAge: '59m', maxAge: '1h' } })],
    ['ages in days', add({ match: { minAge: '1d23h59m59s', maxAge: '2d' } })],
    [
      'the longest ages',
      add({ match: { minAge: '999d9999h99999m999998s', maxAge: '999d9999h99999m999999s' } }),
    ],
    ['an age of nothing', add({ match: { minAge: '0s' } })],
    ['as many redrives at least as at most', add({ match: { minRedrives: 2, maxRedrives: 2 } })],
    [
      'a redrive just within the window',
      several(set(longWindow), add({ verdict: 'redrive', match: { minAge: '29d23h59m59s' } })),
    ],
    ['waiting for longer than the window', add({ match: { minAge: '2d' } })],
    ['discarding what is unreadable', add({ verdict: 'discard', match: { classes: ['poison'] } })],
    [
      'discarding what is settled',
      add({ verdict: 'discard', match: { giftStates: ['delivered', 'failed', 'expired'] } }),
    ],
    ['a redrive without an age', add({ verdict: 'redrive', match: { classes: ['unknown'] } })],
  ])('%s', async (_what, change) => {
    const stored = await offer(change);
    expect(stored).toHaveProperty('spec');
    expect(readPolicy(stored)).toHaveProperty('policy');
  });
});

describe('what the API server refuses, with a sentence, the reconciler refuses', () => {
  test.each<[string, Change, string]>([
    ['no queue', ({ spec }) => Reflect.deleteProperty(spec, 'queue'), 'spec.queue: Required value'],
    [
      'a queue that does not exist',
      set({ queue: 'gift' }),
      'spec.queue: Unsupported value: "gift": supported values: "gifts"',
    ],
    [
      'no rules',
      set({ rules: [] }),
      'spec.rules: Invalid value: 0: spec.rules in body should have at least 1 items',
    ],
    [
      'too many rules',
      set({ rules: Array.from({ length: 101 }, (_, index) => rule({ name: `rule-${index}` })) }),
      'spec.rules: Too many: 101: must have at most 100 items',
    ],
    ['a rate of zero', set({ limits: { ratePerSecond: 0 } }), 'spec.limits.ratePerSecond: Invalid value: 0'],
    ['half a message', set({ limits: { maxMessages: 1.5 } }), 'spec.limits.maxMessages'],
    [
      'a share above one',
      set({ circuitBreaker: { maxFailureRatio: 1.1 } }),
      'spec.circuitBreaker.maxFailureRatio',
    ],
    ['a word for a switch', set({ suspend: 'yes' }), 'spec.suspend: Invalid value: "string"'],
    [
      'a malformed duration',
      add({ match: { minAge: '5 min' } }),
      'spec.rules[4].match.minAge: Invalid value: "5 min"',
    ],
    ['an empty duration', add({ match: { minAge: '' } }), 'spec.rules[4].match.minAge'],
    [
      'a duration with its units in the wrong order',
      add({ match: { minAge: '5m1h' } }),
      'spec.rules[4].match.minAge',
    ],
    ['an unknown verdict', add({ verdict: 'retry' }), 'spec.rules[4].verdict: Unsupported value: "retry"'],
    [
      'an unknown class',
      add({ match: { classes: ['bad'] } }),
      'spec.rules[4].match.classes[0]: Unsupported value: "bad"',
    ],
    ['an empty criterion', add({ match: { classes: [] } }), 'spec.rules[4].match.classes'],
    ['a rule without match', add({ match: undefined }), 'spec.rules[4].match: Required value'],
    ['a name with capitals', add({ name: 'More' }), 'spec.rules[4].name: Invalid value: "More"'],
    ['a name that is too long', add({ name: 'x'.repeat(64) }), 'spec.rules[4].name: Too long'],
    [
      'two rules of one name',
      add({ name: 'poison' }),
      'spec.rules: Invalid value: two rules have the same name; give each rule its own name',
    ],
    [
      'a built-in name',
      add({ name: 'max-redrives' }),
      'spec.rules[4].name: Invalid value: "max-redrives": is the name of a built-in rule; choose another one',
    ],
    [
      'a rule after one that matches everything',
      first({ match: {} }),
      'spec.rules: Invalid value: rules after one that matches everything can never match; move that one to the end',
    ],
    [
      'two rules that match everything',
      add({ match: {} }, { name: 'again', match: {} }),
      'rules after one that matches everything',
    ],
    [
      'ages that exclude each other',
      add({ match: { minAge: '1h', maxAge: '60m' } }),
      'spec.rules[4].match: Invalid value: maxAge must be longer than minAge: no message could match',
    ],
    [
      'ages in days that exclude each other',
      add({ match: { minAge: '2d', maxAge: '1d23h' } }),
      'maxAge must be longer than minAge',
    ],
    [
      'redrives that exclude each other',
      add({ match: { minRedrives: 2, maxRedrives: 1 } }),
      'spec.rules[4].match: Invalid value: maxRedrives must be at least minRedrives: no message could match',
    ],
    [
      'a redrive later than the default window',
      several(set({ circuitBreaker: {} }), add({ verdict: 'redrive', match: { minAge: '10m' } })),
      'spec: Invalid value: minAge of a rule that redrives must be shorter than circuitBreaker.window',
    ],
    [
      'a redrive later than a window of days',
      several(set(longWindow), add({ verdict: 'redrive', match: { minAge: '30d' } })),
      'must be shorter than circuitBreaker.window',
    ],
    [
      'discarding anything',
      add({ verdict: 'discard', match: { minAge: '1d' } }),
      'spec.rules[4]: Invalid value: discards messages of gifts that still need them; limit match.giftStates to',
    ],
    [
      'discarding queued gifts',
      add({ verdict: 'discard', match: { giftStates: ['queued', 'failed'] } }),
      'discards messages of gifts that still need them',
    ],
    [
      'discarding more than what is unreadable',
      add({ verdict: 'discard', match: { classes: ['poison', 'unknown'] } }),
      'discards messages of gifts that still need them',
    ],
  ])('%s', async (_what, change, expected) => {
    const offered = await offer(change);
    expect(offered).toEqual({ refused: expect.stringContaining(expected) });
    // A rule that can't be evaluated says so in words that help nobody.
    expect(JSON.stringify(offered)).not.toContain('evaluating rule');
    expect(readPolicy(policyNamed('offered', change))).toHaveProperty('problems');
  });

  test('every CEL rule was heard above', () => {
    const unheard = policyChecks.filter(
      ({ cel }) => !heard.some((sentence) => sentence.includes(cel.message)),
    );
    expect(unheard.map(({ cel }) => cel.message)).toEqual([]);
  });
});

test('the API server fills in what the reconciler would: no default stands in two places', async () => {
  const short = ({ spec }: PolicyDocument) =>
    ['suspend', 'dryRun', 'limits', 'circuitBreaker', 'quarantineBreaker'].map((name) =>
      Reflect.deleteProperty(spec, name),
    );
  const stored = await offer(short);
  const read = (policy: unknown) => ({ ...readPolicy(policy), generation: null });
  const expected = policyNamed('offered', short) as object;
  expect(stored).toMatchObject({
    spec: { suspend: false, limits: { ratePerSecond: 200 }, circuitBreaker: { window: '10m' } },
  });
  expect(withoutGeneration(read(stored))).toEqual(withoutGeneration(read(expected)));
});

function withoutGeneration(read: object): object {
  return 'policy' in read ? { ...(read.policy as object), generation: null } : read;
}

test('an unknown field is pruned, and kubectl warns of it', async () => {
  const misspelt = JSON.stringify(policyNamed('misspelt', set({ suspended: true })));
  const args = ['--namespace', namespace.name, 'apply', '--validate=warn', '--filename', '-'];
  const script = 'kubectl "$@" 2>&1';
  expect(await run('bash', ['-c', script, 'kubectl', ...args], misspelt)).toContain(
    'Warning: unknown field "spec.suspended"',
  );
  const { spec } = await namespace.get<Stored>('dlp', 'misspelt');
  expect(spec).not.toHaveProperty('suspended');
});

test('kubectl explains every field of a policy, and shows a new one in its columns', async () => {
  const explained = await run('kubectl', ['explain', 'dlp.spec', '--recursive']);
  for (const field of [
    'queue',
    'suspend',
    'dryRun',
    'maxMessages',
    'window',
    'maxFailureRatio',
    'giftStates',
    'verdict',
  ])
    expect(explained).toContain(field);
  expect(await run('kubectl', ['explain', 'dlp.spec.rules.verdict'])).toContain(
    'fail its gift and return the money',
  );
  await namespace.apply([policyNamed('gifts')]);
  const [header, row] = (await namespace.kubectl('get', 'dlp', 'gifts')).split('\n');
  expect(header?.split(/ {2,}/).map((name) => name.trim())).toEqual([
    'NAME',
    'READY',
    'DEAD',
    'REDRIVEN',
    'QUARANTINED',
    'LAST RUN',
    'AGE',
  ]);
  expect(row).toMatch(/^gifts +\d+s$/);
});
