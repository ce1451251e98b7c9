import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { secret } from '../../scripts/cluster/secrets.ts';
import { eventually } from '../support/eventually.ts';
import { type Api, openApi } from './support/api.ts';
import { helm } from './support/command.ts';
import { installSurroundings, upgrade } from './support/installation.ts';
import { startLoad } from './support/load.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';
import { createSender } from './support/sender.ts';

const patient = { timeoutMs: 240_000, intervalMs: 1_000 };

describe('releases replace each other', () => {
  let namespace: Namespace;
  let key: string;

  beforeAll(async () => {
    namespace = await createNamespace('largesse-rollout');
    await installSurroundings(namespace);
    await upgrade(namespace, ['api.autoscaling.minReplicas=2']);
    key = (await createSender(namespace, 1_000_000)).key;
  });
  afterAll(() => namespace.remove());

  test('helm upgrade under load, and helm rollback likewise: no request fails', async () => {
    const before = await apiPods();
    const stopLoad = await startLoad(namespace, key);
    await upgrade(namespace, ['api.autoscaling.minReplicas=2', 'settings.LOG_LEVEL=debug']);
    const after = await apiPods();
    expect(after.filter((pod) => before.includes(pod))).toEqual([]);
    await helm('rollback', 'largesse', '1', '--namespace', namespace.name, '--wait', '--timeout', '4m');
    expect((await apiPods()).filter((pod) => after.includes(pod))).toEqual([]);
    const { accepted, failures } = await stopLoad();
    expect(failures).toEqual([]);
    expect(accepted).toBeGreaterThan(0);
  });

  test('P64: a second migration of the same schema changes nothing', async () => {
    const before = await apiPods();
    await upgrade(namespace, ['api.autoscaling.minReplicas=2']);
    expect(await apiPods()).toEqual(before);
  });

  test('P56: a migration that fails stops the rollout, and the release before goes on serving', async () => {
    const before = await apiPods();
    const nowhere = 'postgres://largesse:none@postgres:1/largesse?sslmode=disable';
    await namespace.apply([secret('nowhere', { url: nowhere })]);
    const broken = ['database.existingSecret=nowhere', 'migrate.backoffLimit=0'];
    await expect(upgrade(namespace, broken)).rejects.toThrow(/pre-upgrade hooks failed/);
    expect(await apiPods()).toEqual(before);
    const api = await openApi(namespace);
    expect(await api.send('ada@example.com')).toMatchObject({ state: 'queued' });
    await api.close();
    // What it said is there to be read.
    expect(await namespace.kubectl('logs', 'job/largesse-migrate')).toContain('DATABASE_URL');
    await upgrade(namespace, ['api.autoscaling.minReplicas=2']);
  });

  /** Those that are not on their way out. */
  async function apiPods(): Promise<string[]> {
    type Pod = { metadata: { name: string; deletionTimestamp?: string } };
    const pods = await namespace.get<{ items: Pod[] }>(
      'pods',
      '--selector',
      'app.kubernetes.io/component=api',
    );
    const staying = pods.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    return staying.map(({ metadata }) => metadata.name).sort();
  }
});

describe('pods come and go while gifts are delivered', () => {
  let namespace: Namespace;
  let api: Api;

  beforeAll(async () => {
    namespace = await createNamespace('largesse-restless');
    await installSurroundings(namespace);
    await upgrade(namespace, ['consumers.gifts.scaling.minReplicas=2']);
    api = await openApi(namespace);
  });
  afterAll(async () => {
    await api?.close();
    await namespace.remove();
  });

  test('consumers are deleted and killed while they work: no gift is lost, none is issued twice', async () => {
    const gifts = 300;
    const ways = [[], ['--grace-period=0', '--force']];
    for (let sent = 0; sent < gifts; sent += 30) {
      await Promise.all(Array.from({ length: 30 }, (_, index) => api.send(`r${sent + index}@example.com`)));
      const names = await namespace.kubectl(
        ...['get', 'pods', '--output', 'name'],
        ...['--selector', 'app.kubernetes.io/component=consumer-gifts'],
      );
      const [one] = names.split('\n');
      // It may have been on its way out, and be gone by now.
      const gentle = ['--wait=false', '--ignore-not-found'];
      if (one) await namespace.kubectl('delete', one, ...gentle, ...(ways[(sent / 30) % 2] ?? []));
    }
    await eventually(async () => {
      const states = await api.states();
      expect(states.filter((state) => state === 'delivered')).toHaveLength(gifts);
    }, patient);
    expect(await api.ask('/v1/ledger/invariants')).toMatchObject({ ok: true });
  });
});
