import { describe, expect, jest, test } from '@jest/globals';
import { explainFailure } from '../../../../services/reconciler/failures.ts';
import type { ApiRequest } from '../../../../services/reconciler/kubernetes/api-client.ts';
import { takeLeadership } from '../../../../services/reconciler/kubernetes/leadership.ts';
import { Leases } from '../../../../services/reconciler/kubernetes/leases.ts';
import { servedBy } from './served-by.ts';

const identity = 'pod_run';
const renewSeconds = 0.017;
const take = (client: ConstructorParameters<typeof Leases>[0]) =>
  takeLeadership(new Leases(client, 'largesse-reconciler'), {
    identity,
    signal: new AbortController().signal,
    onRenewalFailed: () => undefined,
    times: { durationSeconds: 6, holdSeconds: 4, renewSeconds, beatenSeconds: 0.001 },
  });

describe('who wants the Lease', () => {
  test('in a namespace that does not exist is told so, after two requests and not after thousands', async () => {
    const server = await servedBy(() => ({ status: 404, body: { message: 'namespaces "gifts" not found' } }));
    const error = await take(server.client).catch((caught: unknown) => caught);
    await server.close();
    expect(server.asked.map(({ method }) => method)).toEqual(['GET', 'POST']);
    expect(explainFailure(error, { databaseUrl: '', sqsEndpoint: undefined })).toMatchObject({
      outcome: 'needs_person',
      message: 'no Lease can be made in namespace gifts: namespaces "gifts" not found',
    });
  });

  test.each<[string, ApiRequest['method'], number, object | null]>([
    ['each making', 'POST', 409, null],
    ['each change', 'PUT', 409, { metadata: { name: 'largesse-reconciler' }, spec: {} }],
    ['each change, by a server that no longer knows it', 'PUT', 404, { metadata: {}, spec: {} }],
  ])(
    'is refused %s as if somebody were faster, and stops after ten',
    async (_what, writing, status, lease) => {
      const server = await servedBy(({ method }) => {
        if (method === writing) return { status, body: {} };
        return lease === null ? { status: 404, body: {} } : { status: 200, body: lease };
      });
      const error = await take(server.client).catch((caught: unknown) => caught);
      await server.close();
      expect(server.asked.filter(({ method }) => method === writing)).toHaveLength(10);
      expect(explainFailure(error, { databaseUrl: '', sqsEndpoint: undefined })).toMatchObject({
        outcome: 'needs_person',
        message: expect.stringContaining('each of 10 writes was answered as if somebody had been faster'),
      });
    },
  );

  test('has given it back when a renewal is under way at that moment: that one is the last', async () => {
    let lease: object | null = null;
    const renewing = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    let puts = 0;
    const server = await servedBy(async ({ method, body }: ApiRequest) => {
      if (method === 'GET') return lease === null ? { status: 404, body: {} } : { status: 200, body: lease };
      if (method === 'PUT') puts += 1;
      if (method === 'PUT' && puts === 1) {
        renewing.resolve();
        await goOn.promise;
      }
      lease = body as object;
      return { status: 200, body: lease };
    });
    const taken = await take(server.client);
    if ('heldBy' in taken) throw new Error('nobody else is there');
    await renewing.promise;
    const released = taken.leadership.release();
    const timers = jest.spyOn(globalThis, 'setTimeout');
    goOn.resolve();
    await released;
    const renewals = timers.mock.calls.filter(([, ms]) => ms === renewSeconds * 1_000);
    timers.mockRestore();
    expect(renewals).toEqual([]);
    expect(lease).not.toHaveProperty('spec.holderIdentity');
    expect(taken.leadership.lost.aborted).toBe(false);
    await server.close();
  });
});
