import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import { durationSeconds, formatDuration } from '../../../services/reconciler/duration.ts';
import { PolicyError, readPolicy } from '../../../services/reconciler/policy-document.ts';
import { parsePolicies } from '../../../services/reconciler/policy-text.ts';

const example = `
apiVersion: largesse.dev/v1alpha1
kind: DeadLetterPolicy
metadata: {name: default}
spec:
  queue: gifts                      # its DLQ is found through the redrive policy
  suspend: false
  dryRun: false
  limits: {maxMessages: 10000, ratePerSecond: 200, maxRedrives: 3}
  circuitBreaker: {window: 10m, maxFailureRatio: 0.5, minSamples: 20}
  rules:                            # first match wins; what no rule matches waits
    - {name: poison,    match: {classes: [poison]},                                        verdict: quarantine}
    - {name: settled,   match: {giftStates: [delivered, claimed, cancelled, rejected, expired]}, verdict: discard}
    - {name: transient, match: {classes: [transient, unknown], minAge: 5m},                 verdict: redrive}
    - {name: permanent, match: {classes: [permanent]},                                     verdict: quarantine}
`;

/** The example with one thing changed, and what is said about it. */
function problemsOf(change: (policy: typeof defaultPolicy & Record<string, unknown>) => unknown): string[] {
  const policy = structuredClone(defaultPolicy) as typeof defaultPolicy & Record<string, unknown>;
  change(policy);
  const read = readPolicy(policy);
  return 'problems' in read ? read.problems.map(({ path, message }) => `${path}: ${message}`) : [];
}
const rule = (changes: object) =>
  ({ name: 'more', match: { classes: ['unknown'] }, verdict: 'wait', ...changes }) as never;

describe('policy documents', () => {
  test('the documented example is the built-in policy', () => {
    expect(parsePolicies(example, 'example')).toEqual(
      parsePolicies(JSON.stringify(defaultPolicy), 'built-in'),
    );
  });

  test('limits and breaker have the documented defaults, durations become seconds', () => {
    const { limits, circuitBreaker, ...spec } = defaultPolicy.spec;
    expect(limits).toBeDefined();
    expect(circuitBreaker).toBeDefined();
    const [read] = parsePolicies(stringify({ ...defaultPolicy, spec }), 'short');
    expect(read).toMatchObject({
      limits: { maxMessages: 10_000, ratePerSecond: 200, maxRedrives: 3 },
      circuitBreaker: { windowSeconds: 600, maxFailureRatio: 0.5, minSamples: 20 },
    });
    expect(read?.rules[2]?.match.minAgeSeconds).toBe(300);
  });

  test.each<[string, Parameters<typeof problemsOf>[0], string]>([
    [
      'an unknown field',
      (p) => Object.assign(p.spec, { que: 1 }),
      'spec.que: is not a field here; there are queue, suspend',
    ],
    [
      'an unknown criterion',
      (p) => p.spec.rules.push(rule({ match: { class: ['poison'] } })),
      'spec.rules[4].match.class: is not a field here; there are classes, giftStates',
    ],
    [
      'an unknown class',
      (p) => p.spec.rules.push(rule({ match: { classes: ['bad'] } })),
      'spec.rules[4].match.classes[0]: "bad" must be transient or permanent or poison or unknown',
    ],
    [
      'a malformed duration',
      (p) => p.spec.rules.push(rule({ match: { minAge: '5 min' } })),
      'spec.rules[4].match.minAge: "5 min" is no duration; write it like 30s, 5m, 12h or 7d',
    ],
    [
      'a number for a duration',
      (p) => p.spec.rules.push(rule({ match: { minAge: 5 } })),
      'spec.rules[4].match.minAge: 5 must be a text',
    ],
    ['a missing queue', (p) => Reflect.deleteProperty(p.spec, 'queue'), 'spec.queue: must be gifts'],
    [
      'a rate of zero',
      (p) => Object.assign(p.spec, { limits: { ratePerSecond: 0 } }),
      'spec.limits.ratePerSecond: 0 must be at least 1',
    ],
    ['no rules', (p) => Object.assign(p.spec, { rules: [] }), 'spec.rules: must have at least 1 entries'],
    [
      'another version',
      (p) => Object.assign(p, { apiVersion: 'largesse.dev/v2' }),
      'apiVersion: "largesse.dev/v2" must be largesse.dev/v1alpha1',
    ],
    [
      'two rules of one name',
      (p) => p.spec.rules.push(rule({ name: 'poison' })),
      'spec.rules[4].name: spec.rules[0] is called "poison" too',
    ],
    [
      'a built-in name',
      (p) => p.spec.rules.push(rule({ name: 'max-redrives' })),
      'spec.rules[4].name: "max-redrives" is the name of a built-in rule',
    ],
    [
      'an unreachable rule',
      (p) => p.spec.rules.unshift(rule({ match: {} })),
      'spec.rules[1]: can never match: spec.rules[0] ("more") matches everything',
    ],
    [
      'ages that exclude each other',
      (p) => p.spec.rules.push(rule({ match: { minAge: '1h', maxAge: '5m' } })),
      'spec.rules[4].match.maxAge: is 5m, which must be longer than minAge (1h)',
    ],
    [
      'redrives that exclude each other',
      (p) => p.spec.rules.push(rule({ match: { minRedrives: 2, maxRedrives: 1 } })),
      'spec.rules[4].match.maxRedrives: is 1, which must be at least minRedrives (2)',
    ],
    [
      'a breaker that is blind',
      (p) => Object.assign(p.spec, { circuitBreaker: { window: '5m' } }),
      'spec.rules[2].match.minAge: is 5m, which must be shorter than spec.circuitBreaker.window (5m)',
    ],
    [
      'discarding what is needed',
      (p) => p.spec.rules.push(rule({ verdict: 'discard' })),
      'spec.rules[4].verdict: discards messages of gifts in any state',
    ],
    [
      'discarding queued gifts',
      (p) => p.spec.rules.push(rule({ verdict: 'discard', match: { giftStates: ['queued', 'failed'] } })),
      'spec.rules[4].verdict: discards messages of gifts in queued, which still need them',
    ],
  ])('refuses %s, says where and what to do', (_what, change, expected) => {
    const problems = problemsOf(change);
    expect(problems.some((problem) => problem.startsWith(expected))).toBe(true);
  });

  test('all problems of all documents come at once, each with its document', () => {
    const bad = stringify({
      ...defaultPolicy,
      kind: 'Policy',
      spec: { ...defaultPolicy.spec, suspend: 'no' },
    });
    const read = () => parsePolicies(`${example}---\n${bad}`, 'two.yaml');
    expect(read).toThrow(PolicyError);
    expect(read).toThrow(/two\.yaml can't be used/);
    expect(read).toThrow(
      /document 2: kind: "Policy" must be DeadLetterPolicy\n.*document 2: spec\.suspend: "no" must be true or false/,
    );
  });

  test('two policies for one queue, an empty file and broken YAML are refused', () => {
    expect(() => parsePolicies(`${example}---${example}`, 'f')).toThrow('"gifts" has policy default already');
    expect(() => parsePolicies('', 'f')).toThrow('is empty');
    expect(() => parsePolicies('spec: [', 'f')).toThrow('f can');
  });

  test('fields that a cluster adds are taken', () => {
    const read = readPolicy({
      ...defaultPolicy,
      metadata: { name: 'default', generation: 4, uid: 'x', labels: {} },
      status: { observedGeneration: 3 },
    });
    expect(read).toMatchObject({ policy: { name: 'default', generation: 4 } });
  });

  test('durations are read as they are written', () => {
    fc.assert(
      fc.property(fc.nat(999 * 86_400), (seconds) => {
        expect(durationSeconds(formatDuration(seconds))).toBe(seconds);
      }),
    );
    expect(() => durationSeconds('')).toThrow(RangeError);
  });
});
