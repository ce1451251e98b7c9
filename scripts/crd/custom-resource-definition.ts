import { stringify } from 'yaml';
import { z } from 'zod';
import { type CelRule, policyChecks } from '../../services/reconciler/policy-checks.ts';
import { deadLetterPolicySchema } from '../../services/reconciler/policy-resource.ts';
import { policyStatusSchema } from '../../services/reconciler/policy-status.ts';

/** The CustomResourceDefinition of DeadLetterPolicy, made from the schemas that the reconciler reads it by. */
export function customResourceDefinition(): string {
  return `# Made by \`npm run crd\` from services/reconciler/policy-resource.ts, policy-checks.ts and policy-status.ts.\n${stringify(definition(), { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

const names = {
  kind: 'DeadLetterPolicy',
  listKind: 'DeadLetterPolicyList',
  plural: 'deadletterpolicies',
  singular: 'deadletterpolicy',
  shortNames: ['dlp'],
};

const column = (name: string, type: string, jsonPath: string, priority = 0) => ({
  name,
  type,
  jsonPath,
  ...(priority === 0 ? {} : { priority }),
});
const condition = (type: string) => `.status.conditions[?(@.type=="${type}")].status`;

/** kubectl writes the names in capitals, a date as its age, and what has a priority with `-o wide` only. */
const columns = [
  column('Ready', 'string', condition('Ready')),
  column('Dead', 'integer', '.status.deadLetters'),
  column('Redriven', 'integer', '.status.lastRun.redriven'),
  column('Quarantined', 'integer', '.status.lastRun.quarantined'),
  column('Last Run', 'date', '.status.lastRun.finishedAt'),
  column('Age', 'date', '.metadata.creationTimestamp'),
  column('Queue', 'string', '.spec.queue', 1),
  column('Succeeded', 'string', condition('Succeeded'), 1),
  column('Circuit Closed', 'string', condition('CircuitClosed'), 1),
  column('Dry Run', 'boolean', '.spec.dryRun', 1),
];

function definition() {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${names.plural}.largesse.dev` },
    spec: {
      group: 'largesse.dev',
      names,
      scope: 'Namespaced',
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: schema() },
        },
      ],
    },
  };
}

function schema() {
  const spec = structural(toJson(deadLetterPolicySchema.shape.spec));
  for (const { cel } of policyChecks) addRule(spec, cel);
  const status = structural(toJson(policyStatusSchema));
  const conditions = at(status, 'conditions');
  // Merged by type: what somebody else reports beside us stays.
  conditions['x-kubernetes-list-type'] = 'map';
  conditions['x-kubernetes-list-map-keys'] = ['type'];
  // The types of ours are no bound for those of others, or of a later release.
  at(status, 'conditions', 'items', 'type')['enum'] = undefined;
  return {
    type: 'object',
    description: 'What the reconciler does about the dead letters of one queue.',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: { ...spec, description: 'What shall be done.' },
      status: { ...status, description: 'What the last runs found. Written by the reconciler alone.' },
    },
  };
}

type Json = Record<string, unknown>;

function toJson(type: z.ZodType): Json {
  return z.toJSONSchema(type, { io: 'input', target: 'openapi-3.0' }) as Json;
}

/** What an API server takes of it: unknown fields are pruned instead of being refused, and dates have a format alone. */
function structural(value: Json): Json {
  const { additionalProperties: _pruned, properties, items, ...rest } = value;
  if (rest['format'] === 'date-time') delete rest['pattern'];
  // The bound of a JavaScript number, where the schema names none.
  if (rest['maximum'] === Number.MAX_SAFE_INTEGER) delete rest['maximum'];
  const inner = Object.entries((properties ?? {}) as Record<string, Json>);
  return {
    ...rest,
    ...(inner.length === 0
      ? {}
      : { properties: Object.fromEntries(inner.map(([name, field]) => [name, structural(field)])) }),
    ...(items === undefined ? {} : { items: structural(items as Json) }),
  };
}

const places: Record<CelRule['of'], string[]> = {
  spec: [],
  rules: ['rules'],
  rule: ['rules', 'items'],
  name: ['rules', 'items', 'name'],
  match: ['rules', 'items', 'match'],
};

function addRule(spec: Json, { of, rule, message }: CelRule): void {
  const place = at(spec, ...places[of]);
  const before = (place['x-kubernetes-validations'] ?? []) as object[];
  place['x-kubernetes-validations'] = [...before, { rule, message }];
}

/** The schema of a field, or of the entries of a list (`items`). */
function at(from: Json, ...path: string[]): Json {
  return path.reduce<Json>((found, name) => {
    const inner = name === 'items' ? found['items'] : (found['properties'] as Json | undefined)?.[name];
    if (inner === undefined) throw new Error(`the schema has no ${path.join('.')}`);
    return inner as Json;
  }, from);
}
