import type { PolicyStatus } from '../policy-status.ts';
import type { ApiClient } from './api-client.ts';
import { hasStatus } from './kubernetes-error.ts';
import type { PolicyObject } from './policy-object.ts';

const apiVersion = 'largesse.dev/v1alpha1';
const fieldManager = 'largesse-reconciler';

/** DeadLetterPolicies of one namespace. */
export class PolicyApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** @param labelSelector only these, where several reconcilers share a namespace */
  async list(labelSelector: string | undefined, signal: AbortSignal): Promise<PolicyObject[]> {
    const query = labelSelector === undefined ? {} : { query: { labelSelector } };
    const request = { method: 'GET', path: this.#folder, ...query } as const;
    return (await this.#client.insist<{ items: PolicyObject[] }>(request, { tries: 4, signal })).items;
  }

  /** Null: it does not exist any more. */
  async find(name: string): Promise<PolicyObject | null> {
    try {
      return await this.#client.request<PolicyObject>({ method: 'GET', path: `${this.#folder}/${name}` });
    } catch (error) {
      if (hasStatus(error, 404)) return null;
      throw error;
    }
  }

  /** Until something happens to it, or nothing for a minute. */
  change({ metadata }: PolicyObject, signal: AbortSignal): Promise<void> {
    const { name, resourceVersion = '' } = metadata;
    const query = { fieldSelector: `metadata.name=${name}`, resourceVersion };
    return this.#client.change(this.#folder, query, signal);
  }

  /**
   * The whole status in one request, which is only ours of it: conditions of others stay, and what a person does to the spec
   * meanwhile is not touched. Null: that object does not exist any more, or another has its name.
   */
  async applyStatus({ metadata }: PolicyObject, status: PolicyStatus): Promise<PolicyObject | null> {
    const { name, uid } = metadata;
    const request = {
      method: 'PATCH',
      path: `${this.#folder}/${name}/status`,
      query: { fieldManager, force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion, kind: 'DeadLetterPolicy', metadata: { name, uid }, status },
    } as const;
    for (let beaten = 0; ; beaten += 1) {
      try {
        return await this.#client.insist<PolicyObject>(request, { tries: 4 });
      } catch (error) {
        if (hasStatus(error, 404)) return null;
        // Many writers at once end so as well as another object of the same name does.
        if (!hasStatus(error, 409) || beaten >= 3) throw error;
        if ((await this.find(name))?.metadata.uid !== uid) return null;
      }
    }
  }

  get #folder(): string {
    return `/apis/${apiVersion}/namespaces/${this.#client.namespace}/deadletterpolicies`;
  }
}
