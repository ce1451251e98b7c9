/** kubectl in the namespace of an installation. @returns what it printed */
export type Kubectl = (...args: string[]) => Promise<string>;

/** A sender with money in euros, and a key with which all can be done and asked that somebody who tries it may want. */
export async function createSender(
  kubectl: Kubectl,
  name: string,
  amountMinor: number,
): Promise<{ key: string }> {
  const { id } = await admin<{ id: string }>(kubectl, 'create-sender', '--name', name);
  await admin(
    kubectl,
    ...['top-up', '--sender', id, '--amount', String(amountMinor)],
    ...['--currency', 'EUR', '--idempotency-key', id],
  );
  return admin<{ key: string }>(kubectl, 'create-key', '--sender', id, '--roles', 'sender,operator,auditor');
}

/** Whether the database of an installation knows a key: one that was made anew knows none of before. */
export async function knowsKey(kubectl: Kubectl, key: string): Promise<boolean> {
  const { keys } = await admin<{ keys: { prefix: string }[] }>(kubectl, 'list-keys');
  return keys.some(({ prefix }) => key.startsWith(`lgk_${prefix}`));
}

async function admin<T>(kubectl: Kubectl, ...args: string[]): Promise<T> {
  const command = ['exec', 'deployment/largesse-api', '--', 'node', 'dist/admin.js', ...args, '--json'];
  return JSON.parse(await kubectl(...command)) as T;
}
