/** kubectl in the namespace of an installation. @returns what it printed */
export type Kubectl = (...args: string[]) => Promise<string>;

/** A sender with money in euros, and a key with which all can be done and asked that somebody who tries it may want. */
export async function createSender(
  kubectl: Kubectl,
  name: string,
  amountMinor: number,
): Promise<{ key: string }> {
  const admin = async <T>(...args: string[]) => {
    const command = ['exec', 'deployment/largesse-api', '--', 'node', 'dist/admin.js', ...args, '--json'];
    return JSON.parse(await kubectl(...command)) as T;
  };
  const { id } = await admin<{ id: string }>('create-sender', '--name', name);
  await admin(
    ...['top-up', '--sender', id, '--amount', String(amountMinor)],
    ...['--currency', 'EUR', '--idempotency-key', id],
  );
  return admin<{ key: string }>('create-key', '--sender', id, '--roles', 'sender,operator,auditor');
}
