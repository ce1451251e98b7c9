import { parseAllDocuments } from 'yaml';
import type { Namespace } from './namespace.ts';

export interface KubernetesObject {
  kind: string;
  metadata: { name: string; annotations?: Record<string, string> };
}

type Phase = 'PreSync' | 'Sync' | 'PostSync';

const PHASES: readonly Phase[] = ['PreSync', 'Sync', 'PostSync'];
/** As Argo CD's documentation has it; what is not here (tests, rollbacks) it ignores. */
const OF_HELM: Record<string, Phase> = {
  'pre-install': 'PreSync',
  'pre-upgrade': 'PreSync',
  'post-install': 'PostSync',
  'post-upgrade': 'PostSync',
};

/** A step of a sync: what is applied at once. */
export interface Wave {
  phase: Phase;
  weight: number;
  objects: KubernetesObject[];
}

/** What a rendered chart comes to under Argo CD, in order. */
export function wavesOf(rendered: string): Wave[] {
  const objects = parseAllDocuments(rendered)
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((each) => each !== null);
  const waves = new Map<string, Wave>();
  for (const object of objects) {
    for (const phase of phasesOf(object)) {
      const weight = Number(object.metadata.annotations?.['helm.sh/hook-weight'] ?? 0);
      const wave = waves.get(`${phase} ${weight}`) ?? { phase, weight, objects: [] };
      wave.objects.push(object);
      waves.set(`${phase} ${weight}`, wave);
    }
  }
  const order = ({ phase, weight }: Wave) => PHASES.indexOf(phase) * 1_000_000 + weight;
  return [...waves.values()].toSorted((one, another) => order(one) - order(another));
}

function phasesOf({ metadata }: KubernetesObject): Phase[] {
  const hooks = metadata.annotations?.['helm.sh/hook'];
  if (hooks === undefined) return ['Sync'];
  // It does not know an install from an upgrade: both run with every sync, which for one object is once.
  const phases = hooks.split(',').flatMap((hook) => OF_HELM[hook] ?? []);
  return [...new Set(phases)];
}

/**
 * Applies a rendered chart as Argo CD does: phase by phase and wave by wave, each only when the one before is done; hooks deleted before they
 * are made anew, and after the whole sync when they ask for it. @returns what was waited for, with its milliseconds
 */
export async function sync(namespace: Namespace, rendered: string): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  const hooks: KubernetesObject[] = [];
  for (const { objects } of wavesOf(rendered)) {
    for (const hook of objects.filter(isHook)) {
      if (deletes(hook, 'before-hook-creation')) await remove(namespace, hook);
      hooks.push(hook);
    }
    const beganMs = performance.now();
    await namespace.apply(objects);
    for (const object of objects) {
      await waitFor(namespace, object);
      times.set(nameOf(object), performance.now() - beganMs);
    }
  }
  for (const hook of hooks) if (deletes(hook, 'hook-succeeded')) await remove(namespace, hook);
  return times;
}

async function waitFor(namespace: Namespace, object: KubernetesObject): Promise<void> {
  if (object.kind === 'Job') {
    // Either ends the wait; a failed one is a failed sync.
    const ended = ['--for=jsonpath={.status.conditions[0].status}=True', '--timeout=180s'];
    await namespace.kubectl('wait', nameOf(object), ...ended);
    type Job = { status: { succeeded?: number } };
    const { status } = await namespace.get<Job>(nameOf(object));
    if (!status.succeeded) throw new Error(`${nameOf(object)} failed, and so does the sync`);
  }
  if (object.kind === 'Deployment')
    await namespace.kubectl('rollout', 'status', nameOf(object), '--timeout=180s');
}

const isHook = ({ metadata }: KubernetesObject) => metadata.annotations?.['helm.sh/hook'] !== undefined;

function deletes({ metadata }: KubernetesObject, policy: string): boolean {
  return metadata.annotations?.['helm.sh/hook-delete-policy']?.split(',').includes(policy) ?? false;
}

async function remove(namespace: Namespace, object: KubernetesObject): Promise<void> {
  await namespace.kubectl('delete', nameOf(object), '--ignore-not-found', '--wait', '--timeout=60s');
}

export function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind.toLowerCase()}/${metadata.name}`;
}
