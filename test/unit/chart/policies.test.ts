import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';

test('the chart makes the policy that is in force where none is given', () => {
  const { reconciler } = parse(readFileSync('charts/largesse/values.yaml', 'utf8'));
  const { rules } = defaultPolicy.spec;
  expect(reconciler.policies).toEqual({ [defaultPolicy.spec.queue]: { rules } });
});
