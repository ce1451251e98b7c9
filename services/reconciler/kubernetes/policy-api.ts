import type { PolicyStatus } from '../policy-status.ts';
import type { ApiClient } from './api-client.ts';
import { hasStatus } from './kubernetes-error.ts';
import type { PolicyObject } from './policy-object.ts';

const apiVersion = 'largesse.dev/v1alpha1';
const fieldManager = 'largesse-reconciler';
const tries = 4;
/** As often somebody may change a policy between our look and our write. */
const mostBeaten = 10;

/** DeadLetterPolicies of one namespace. */
export class PolicyApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** @param labelSelector only these, where several reconcilers share a namespace */
  async list(labelSelector: string | undefined, signal: AbortSignal): Promise<PolicyObject[]> {
    const query = labelSelector === undefined ? {} : { query: { labelSelector } };
    const list = () =>
      this.#client.request<{ items: PolicyObject[] }>({ method: 'GET', path: this.#folder, ...query });
    return (await this.#client.insist(list, { tries, signal })).items;
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
    for (let beaten = 0; ; beaten += 1) {
      // An API server does not compare the uid of a status: so the version is given of an object whose uid we have seen.
      const now = await this.#client.insist(() => this.find(metadata.name), { tries });
      if (now?.metadata.uid !== metadata.uid) return null;
      try {
        return await this.#client.insist(() => this.#apply(now, status), { tries });
      } catch (error) {
        // Somebody edits it at this moment, or our own answer got lost.
        if (!hasStatus(error, 409) || beaten >= mostBeaten) throw error;
      }
    }
  }

  #apply({ metadata: { name, resourceVersion } }: PolicyObject, status: PolicyStatus): Promise<PolicyObject> {
    return this.#client.request<PolicyObject>({
      method: 'PATCH',
      path: `${this.#folder}/${name}/status`,
      query: { fieldManager, force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion, kind: 'DeadLetterPolicy', metadata: { name, resourceVersion }, status },
    });
  }

  get #folder(): string {
    return `/apis/${apiVersion}/namespaces/${this.#client.namespace}/deadletterpolicies`;
  }
}
