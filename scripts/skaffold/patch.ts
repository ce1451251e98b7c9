/** A JSON patch, of which skaffold's profiles use these operations. */
export interface Patch {
  op: 'add' | 'remove' | 'replace';
  path: string;
  value?: unknown;
}

/** @throws Error when a patch names a place that is not there: skaffold refuses such a profile */
export function patched<T extends object>(document: T, patches: readonly Patch[]): T {
  const copy = structuredClone(document);
  for (const patch of patches) apply(copy, patch);
  return copy;
}

function apply(document: object, { op, path, value }: Patch): void {
  const keys = path.split('/').slice(1);
  const last = keys.pop() ?? '';
  const parent = keys.reduce<unknown>((node, key) => (isNode(node) ? node[key] : undefined), document);
  if (!isNode(parent)) throw new Error(`${op} ${path}: there is no such place`);
  const isNew = op === 'add' && (Array.isArray(parent) ? last === '-' : true);
  if (!isNew && !(last in parent)) throw new Error(`${op} ${path}: there is no such place`);
  if (Array.isArray(parent) && op === 'add') parent.push(structuredClone(value));
  else if (op === 'remove') Array.isArray(parent) ? parent.splice(Number(last), 1) : delete parent[last];
  else parent[last] = structuredClone(value);
}

function isNode(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
