import { z } from 'zod';
import { scrubText } from './scrub.ts';

/** What a marked position holds. The name is all that a log shows of it. */
export type SensitiveKind = 'email' | 'wallet' | 'name' | 'text' | 'code' | 'token' | 'secret' | 'personal';

/** The positions of schemas whose values leave the process in no log, trace, event or error body. */
export const sensitive = z.registry<{ kind: SensitiveKind }>();

/** Marks a position: `email: markSensitive(z.email(), 'email')`. Refined or wrapped later, it stays marked. */
export function markSensitive<Schema extends z.ZodType>(schema: Schema, kind: SensitiveKind): Schema {
  sensitive.add(schema, { kind });
  return schema;
}

/**
 * A copy of `value` that may be logged: marked positions are replaced by `[kind]`, and so are records (`[personal]`)
 * and all that the schema does not expect (`[unexpected]`): what nobody described, nobody has declared harmless.
 */
export function redact(schema: z.core.$ZodType, value: unknown): unknown {
  return redactAt([schema], value, 0);
}

type Schema = z.core.$ZodType;

const UNEXPECTED = '[unexpected]';
const MAX_DEPTH = 32;

/** Several schemas, for a union: what any of them marks is redacted, what none of them knows as well. */
function redactAt(schemas: readonly Schema[], value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) return UNEXPECTED;
  const { kind, leaves } = expand(schemas);
  if (value === undefined || value === null) return value;
  if (kind !== undefined) return `[${kind}]`;
  if (Array.isArray(value)) return redactArray(leaves, value, depth);
  if (typeof value === 'object' && !(value instanceof Date)) return redactObject(leaves, value, depth);
  if (!leaves.some((leaf) => !CONTAINERS.has(leaf._zod.def.type))) return UNEXPECTED;
  return typeof value === 'string' ? scrubText(value) : value;
}

const CONTAINERS: ReadonlySet<string> = new Set(['object', 'array', 'tuple', 'map', 'set', 'never']);

function redactArray(leaves: readonly Schema[], value: readonly unknown[], depth: number): unknown {
  if (leaves.every((leaf) => elementSchemas(leaf, 0).length === 0)) return UNEXPECTED;
  return value.map((element, index) => {
    const schemas = leaves.flatMap((leaf) => elementSchemas(leaf, index));
    return schemas.length === 0 ? UNEXPECTED : redactAt(schemas, element, depth + 1);
  });
}

function elementSchemas(leaf: Schema, index: number): readonly Schema[] {
  const def = (leaf as z.core.$ZodTypes)._zod.def;
  if (def.type === 'array') return [def.element];
  if (def.type !== 'tuple') return isOpen(leaf) ? [leaf] : [];
  const element = def.items[index] ?? def.rest;
  return element === null ? [] : [element];
}

function redactObject(leaves: readonly Schema[], value: object, depth: number): unknown {
  if (!leaves.some(takesObjects)) return UNEXPECTED;
  const entries = Object.entries(value).map(([key, inner]) => {
    const properties = leaves.flatMap((leaf) => propertySchemas(leaf, key));
    return [scrubText(key), properties.length === 0 ? UNEXPECTED : redactAt(properties, inner, depth + 1)];
  });
  return Object.fromEntries(entries);
}

function propertySchemas(leaf: Schema, key: string): readonly Schema[] {
  const def = (leaf as z.core.$ZodTypes)._zod.def;
  if (def.type === 'object') {
    const property = Object.hasOwn(def.shape, key) ? def.shape[key] : def.catchall;
    return property === undefined ? [] : [property];
  }
  return isOpen(leaf) ? [leaf] : [];
}

/** `z.unknown()` and `z.any()` say that anything may stand there; the scrub still runs over its strings. */
function isOpen(leaf: Schema): boolean {
  return leaf._zod.def.type === 'unknown' || leaf._zod.def.type === 'any';
}

function takesObjects(leaf: Schema): boolean {
  return isOpen(leaf) || leaf._zod.def.type === 'object';
}

/** Unwraps optional, default, pipe, lazy, union and their like down to what describes a value itself. */
function expand(schemas: readonly Schema[]): { kind: SensitiveKind | undefined; leaves: Schema[] } {
  const leaves: Schema[] = [];
  const waiting = [...schemas];
  const seen = new Set<Schema>();
  let kind: SensitiveKind | undefined;
  for (let schema = waiting.pop(); schema !== undefined; schema = waiting.pop()) {
    if (seen.has(schema)) continue;
    seen.add(schema);
    kind ??= kindOf(schema);
    const inner = unwrap(schema as z.core.$ZodTypes);
    if (inner === undefined) leaves.push(schema);
    else waiting.push(...inner);
  }
  return { kind, leaves };
}

/** A record's keys are the caller's own words, as its values are: marked or not, it is not shown. */
function kindOf(schema: Schema): SensitiveKind | undefined {
  const isRecord = schema._zod.def.type === 'record';
  return sensitive.get(schema as z.ZodType)?.kind ?? (isRecord ? 'personal' : undefined);
}

function unwrap(schema: z.core.$ZodTypes): readonly Schema[] | undefined {
  const def = schema._zod.def;
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'nonoptional':
    case 'default':
    case 'prefault':
    case 'catch':
    case 'readonly':
    case 'success':
    case 'promise':
      return [def.innerType];
    case 'pipe':
      return [def.in, def.out];
    case 'lazy':
      return [def.getter()];
    case 'union':
      return def.options;
    case 'intersection':
      return [def.left, def.right];
    case 'transform':
      return [];
    default:
      return undefined;
  }
}
