import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiClient } from '../../../services/reconciler/kubernetes/api-client.ts';
import { type Leadership, takeLeadership } from '../../../services/reconciler/kubernetes/leadership.ts';
import { Leases } from '../../../services/reconciler/kubernetes/leases.ts';
import { eventually } from '../../support/eventually.ts';
import { createNamespace, type Namespace } from '../support/namespace.ts';
import { accessTo } from '../support/policies.ts';
import { type Wire, wireTo } from '../support/wire.ts';

/** Shorter than in production, in the same proportions. */
const times = { durationSeconds: 6, holdSeconds: 4, renewSeconds: 1, beatenSeconds: 0.5 };
const NAME = 'largesse-reconciler';

let namespace: Namespace;
let wire: Wire;
const open: Leadership[] = [];
const clients: ApiClient[] = [];
beforeAll(async () => {
  namespace = await createNamespace('largesse-leadership');
  wire = await wireTo(await accessTo(namespace));
});
afterEach(async () => {
  wire.mend();
  await Promise.all(open.splice(0).map((leadership) => leadership.release()));
  await namespace.kubectl('delete', 'lease', NAME, '--ignore-not-found');
});
afterAll(async () => {
  for (const client of clients) client.close();
  await wire?.close();
  await namespace?.remove();
});

async function take(identity: string, { wired = false, failures = [] as unknown[] } = {}) {
  const client = new ApiClient(wired ? wire.access : await accessTo(namespace), { timeoutMs: 2_000 });
  clients.push(client);
  const taken = await takeLeadership(new Leases(client, NAME), {
    identity,
    signal: new AbortController().signal,
    onRenewalFailed: (error) => failures.push(error),
    times,
  });
  if ('leadership' in taken) open.push(taken.leadership);
  return taken;
}

async function took(...args: Parameters<typeof take>): Promise<Leadership> {
  const taken = await take(...args);
  if ('heldBy' in taken) throw new Error(`held by ${taken.heldBy}`);
  return taken.leadership;
}

type Lease = { spec: { holderIdentity?: string; renewTime: string; leaseTransitions: number } };
const stored = () => namespace.get<Lease>('lease', NAME);

describe('the Lease', () => {
  test('P40: of two runs at once one has it, and the other names it as soon as it shows that it lives', async () => {
    const first = await took('first');
    expect(await take('second')).toEqual({ heldBy: 'first' });
    expect(first.isValid()).toBe(true);
    expect(await stored()).toMatchObject({ spec: { holderIdentity: 'first', leaseTransitions: 0 } });
  });

  test('P40: of many that begin in the same moment one has it', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `run-${index}`);
    const taken = await Promise.all(names.map((name) => take(name)));
    expect(taken.filter((one) => 'leadership' in one)).toHaveLength(1);
    const { spec } = await stored();
    for (const one of taken) if ('heldBy' in one) expect(one.heldBy).toBe(spec.holderIdentity);
  });

  test('given back, it is taken at once', async () => {
    const first = await took('first');
    await first.release();
    expect((await stored()).spec).not.toHaveProperty('holderIdentity');
    const second = await took('second');
    expect(second.isValid()).toBe(true);
    expect(await stored()).toMatchObject({ spec: { holderIdentity: 'second', leaseTransitions: 1 } });
  });

  test('is renewed for as long as its run lasts', async () => {
    const first = await took('first');
    const { spec } = await stored();
    await eventually(async () => expect((await stored()).spec.renewTime > spec.renewTime).toBe(true));
    expect(first.isValid()).toBe(true);
  });

  test('P40: of a holder that died is taken after its time; the holder that wakes counts as nothing', async () => {
    const failures: unknown[] = [];
    const first = await took('first', { wired: true, failures });
    wire.cut('silent');
    const second = await took('second');
    expect(first.isValid()).toBe(false);
    expect(first.lost.aborted).toBe(true);
    expect(failures.length).toBeGreaterThan(0);
    wire.mend();
    expect(await first.isOurs()).toBe(false);
    await first.release();
    expect(second.isValid()).toBe(true);
    expect(await stored()).toMatchObject({ spec: { holderIdentity: 'second' } });
  });

  test('an API server that is away for a moment costs nothing', async () => {
    const failures: unknown[] = [];
    const first = await took('first', { wired: true, failures });
    wire.cut('ends');
    await eventually(() => expect(failures.length).toBeGreaterThan(0));
    wire.mend();
    const { spec } = await stored();
    await eventually(async () => expect((await stored()).spec.renewTime > spec.renewTime).toBe(true));
    expect(first.isValid()).toBe(true);
  });

  test('that a person labels stays with its holder; one that a person deletes or gives away is lost', async () => {
    const first = await took('first');
    await namespace.kubectl('label', 'lease', NAME, 'looked-at=yes');
    const { spec } = await stored();
    await eventually(async () => expect((await stored()).spec.renewTime > spec.renewTime).toBe(true));
    expect(first.isValid()).toBe(true);
    await namespace.kubectl('delete', 'lease', NAME);
    await eventually(() => expect(first.lost.aborted).toBe(true));
    expect(String(first.lost.reason)).toContain('the Lease is gone or was taken by another run');

    const second = await took('second');
    const given = JSON.stringify({ spec: { holderIdentity: 'somebody' } });
    await namespace.kubectl('patch', 'lease', NAME, '--type=merge', `--patch=${given}`);
    await eventually(() => expect(second.isValid()).toBe(false));
  });
});
