import type { ApiClient } from './api-client.ts';
import { hasStatus, KubernetesError } from './kubernetes-error.ts';
import { type LeaseObject, type LeaseSpec, readLease } from './lease-record.ts';

/** The three requests on one Lease. */
export class Leases {
  readonly #client: ApiClient;
  readonly #name: string;

  constructor(client: ApiClient, name: string) {
    this.#client = client;
    this.#name = name;
  }

  get name(): string {
    return this.#name;
  }

  /** @param tries more than one where nothing is held yet that could run out meanwhile */
  async find({ tries = 1 } = {}): Promise<LeaseObject | null> {
    const find = () => this.#client.request<LeaseObject>({ method: 'GET', path: this.#path });
    try {
      return readLease(await this.#client.insist(find, { tries }));
    } catch (error) {
      if (hasStatus(error, 404)) return null;
      throw error;
    }
  }

  /**
   * Null: somebody was faster.
   * @throws KubernetesError `NoAccess` when there is no such namespace: nobody was faster, and no repeat would help
   */
  async create(spec: LeaseSpec): Promise<LeaseObject | null> {
    const { namespace } = this.#client;
    const body = this.#object({ metadata: { name: this.#name, namespace }, spec });
    try {
      return await this.#client.request<LeaseObject>({ method: 'POST', path: this.#folder, body });
    } catch (error) {
      if (hasStatus(error, 409)) return null;
      if (!hasStatus(error, 404)) throw error;
      const message = `no Lease can be made in namespace ${namespace}: ${error.message}`;
      throw new KubernetesError({ reason: 'NoAccess', message, cause: error });
    }
  }

  /** Null: somebody has changed or removed it since it was read. */
  replace(seen: LeaseObject, spec: LeaseSpec): Promise<LeaseObject | null> {
    const body = this.#object({ ...seen, spec });
    return unlessBeaten(this.#client.request<LeaseObject>({ method: 'PUT', path: this.#path, body }));
  }

  get #folder(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${this.#client.namespace}/leases`;
  }

  get #path(): string {
    return `${this.#folder}/${this.#name}`;
  }

  #object(lease: LeaseObject) {
    return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', ...lease };
  }
}

async function unlessBeaten<Answer>(request: Promise<Answer>): Promise<Answer | null> {
  try {
    return await request;
  } catch (error) {
    if (hasStatus(error, 409) || hasStatus(error, 404)) return null;
    throw error;
  }
}
