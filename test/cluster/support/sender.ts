import type { Namespace } from './namespace.ts';

/** A sender with money and a key with which all can be asked that a test wants to know. */
export async function createSender(namespace: Namespace, amountMinor: number): Promise<{ key: string }> {
  const admin = async <T>(...args: string[]) => {
    const command = ['exec', 'deployment/largesse-api', '--', 'node', 'dist/admin.js', ...args, '--json'];
    return JSON.parse(await namespace.kubectl(...command)) as T;
  };
  const { id } = await admin<{ id: string }>('create-sender', '--name', 'Cluster test');
  await admin(
    ...['top-up', '--sender', id, '--amount', String(amountMinor)],
    ...['--currency', 'EUR', '--idempotency-key', id],
  );
  const roles = ['--roles', 'sender,operator,auditor'];
  return admin<{ key: string }>('create-key', '--sender', id, ...roles);
}
