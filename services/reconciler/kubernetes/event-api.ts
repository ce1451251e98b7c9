import type { ApiClient } from './api-client.ts';
import type { EventDraft } from './events.ts';
import { hasStatus } from './kubernetes-error.ts';
import type { PolicyObject } from './policy-object.ts';

/** Creates one Event about a policy. Its name comes from the run: a repeat whose first answer got lost makes no second. */
export async function createEvent(
  client: ApiClient,
  { metadata: { name, uid } }: PolicyObject,
  { draft, runName, at }: { draft: EventDraft; runName: string; at: Date },
): Promise<void> {
  const { namespace } = client;
  const { about, ...told } = draft;
  const body = {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: `${name.slice(0, 190)}.${runName}.${about.toLowerCase()}`, namespace },
    regarding: { apiVersion: 'largesse.dev/v1alpha1', kind: 'DeadLetterPolicy', namespace, name, uid },
    eventTime: at.toISOString().replace('Z', '000Z'),
    reportingController: 'largesse.dev/reconciler',
    reportingInstance: runName,
    action: 'Reconcile',
    ...told,
  };
  const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
  try {
    await client.insist(() => client.request({ method: 'POST', path, body }), { tries: 3 });
  } catch (error) {
    if (!hasStatus(error, 409)) throw error;
  }
}
