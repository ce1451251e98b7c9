import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { customResourceDefinition } from '../../../scripts/crd/custom-resource-definition.ts';

const file = 'charts/largesse/files/deadletterpolicies.largesse.dev.yaml';

test('the CustomResourceDefinition is the schema of the reconciler: `npm run crd` would change nothing', () => {
  expect(readFileSync(file, 'utf8')).toBe(customResourceDefinition());
});

type Schema = {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  description?: string;
  maxItems?: number;
  maxLength?: number;
  enum?: unknown[];
  format?: string;
};

function fieldsOf(schema: Schema, path: string): [string, Schema][] {
  const inner = Object.entries(schema.properties ?? {}).map(
    ([name, value]) => [`${path}.${name}`, value] as const,
  );
  const items = schema.items === undefined ? [] : [[`${path}[]`, schema.items] as const];
  return [...inner, ...items].flatMap(([name, value]) => [[name, value], ...fieldsOf(value, name)]);
}

const definition = parse(customResourceDefinition()) as {
  spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
};
const whole = definition.spec.versions[0]?.schema.openAPIV3Schema;
const spec = fieldsOf(whole?.properties?.['spec'] ?? {}, 'spec');

test('P72: every list and text of the spec has a bound, so that the cost of its CEL rules has one', () => {
  const unbounded = spec.filter(
    ([, { type, maxItems, maxLength, enum: values }]) =>
      (type === 'array' && maxItems === undefined) ||
      (type === 'string' && maxLength === undefined && values === undefined),
  );
  expect(spec.length).toBeGreaterThan(25);
  expect(unbounded.map(([path]) => path)).toEqual([]);
});

test('P72: the definition is small enough for a client-side apply, which keeps it in an annotation of 262,144 bytes', () => {
  expect(Buffer.byteLength(customResourceDefinition())).toBeLessThan(100_000);
});

test('kubectl explain has a sentence for every field of the spec', () => {
  const mute = spec.filter(([path, { description }]) => !path.endsWith('[]') && description === undefined);
  expect(mute.map(([path]) => path)).toEqual([]);
});
