import { createSender as create } from '../../../scripts/cluster/create-sender.ts';
import type { Namespace } from './namespace.ts';

/** A sender with money and a key with which all can be asked that a test wants to know. */
export function createSender(namespace: Namespace, amountMinor: number): Promise<{ key: string }> {
  return create(namespace.kubectl, 'Cluster test', amountMinor);
}
