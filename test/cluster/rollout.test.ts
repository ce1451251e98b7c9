import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { secret } from '../../scripts/cluster/secrets.ts';
import { eventually } from '../support/eventually.ts';
import { openApi } from './support/api.ts';
import { helm } from './support/command.ts';
import { NEXT, PREVIOUS } from './support/images.ts';
import { installSurroundings, upgrade } from './support/installation.ts';
import { allArrive, startLoad } from './support/load.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';
import { deleteByForce, killProcess, type Pod, podNames, readyPods, waitingFor } from './support/pods.ts';
import { addDatabaseUser, keyringWith, removeFromSecret, setSecret } from './support/rotation.ts';
import { createSender } from './support/sender.ts';

const patient = { timeoutMs: 240_000, intervalMs: 1_000 };
const CONSUMERS = 'consumer-gifts';
/** Two of each, so that one can go; as many as that whatever the load, and small, so that a third finds room beside them. */
const settings = [
  ...['api.autoscaling.enabled=false', 'api.replicas=2', 'api.resources.requests.cpu=50m'],
  ...['consumers.gifts.scaling.minReplicas=2', 'consumers.gifts.resources.requests.cpu=50m'],
];

let namespace: Namespace;
beforeAll(async () => {
  namespace = await createNamespace('largesse-rollout');
  await installSurroundings(namespace);
  await upgrade(namespace, settings);
});
afterAll(() => namespace.remove());

const newKey = async () => (await createSender(namespace, 1_000_000)).key;

describe('releases replace each other', () => {
  test('helm upgrade to another image under load, and helm rollback likewise: no request fails, each gift arrives once', async () => {
    const [before, consumers] = await Promise.all([readyPods(namespace, 'api'), imagesOf(CONSUMERS)]);
    const key = await newKey();
    const stopLoad = await startLoad(namespace, key, { name: 'rollout' });
    await upgrade(namespace, settings, NEXT);
    expect(await imagesOf('api')).not.toEqual(idsOf(before));
    expect(await imagesOf(CONSUMERS)).not.toEqual(consumers);
    await helm('rollback', 'largesse', '1', '--namespace', namespace.name, '--wait', '--timeout', '4m');
    expect(await imagesOf('api')).toEqual(idsOf(before));
    expect(await imagesOf(CONSUMERS)).toEqual(consumers);
    const { accepted, failures } = await stopLoad();
    expect(failures).toEqual([]);
    expect(accepted).toBeGreaterThan(0);
    await allArrive(namespace, key, { name: 'rollout', accepted });
  });

  test('P64: a second migration of the same schema changes nothing', async () => {
    const before = await podNames(namespace, 'api');
    await upgrade(namespace, settings);
    expect(await podNames(namespace, 'api')).toEqual(before);
  });

  test('P64: the release before this one works on the schema of this one, beside it and alone', async () => {
    if (PREVIOUS === null) {
      process.stderr.write('NOT RUN: this clone has no history to build the release before this one from\n');
      return;
    }
    const key = await newKey();
    // As pods of before that start anew once the migration is over. They end as they did then: now and then with a connection that is cut.
    const stopLoad = await startLoad(namespace, key, { name: 'previous', insists: true });
    await setImage('api', 'api', PREVIOUS);
    await setImage(CONSUMERS, 'consumer', PREVIOUS);
    const [first] = await readyPods(namespace, 'api');
    await upgrade(namespace, settings);
    expect((await podNames(namespace, 'api')).includes(first?.name ?? '')).toBe(false);
    const { accepted, failures } = await stopLoad();
    expect(failures).toEqual([]);
    await allArrive(namespace, key, { name: 'previous', accepted });
  });

  test('P74: a changed Secret is used by all pods after a rollout restart, and no request fails meanwhile', async () => {
    const key = await newKey();
    const stopLoad = await startLoad(namespace, key, { name: 'rotated' });
    const beganMs = performance.now();
    const users = await addDatabaseUser(namespace, 'largesse-b');
    await setSecret(namespace, 'largesse-database', 'url', users.url);
    const mail = {
      metadata: { name: 'mail-b' },
      spec: { selector: { app: 'mail' }, ports: [{ port: 1025 }] },
    };
    await namespace.apply([{ apiVersion: 'v1', kind: 'Service', ...mail }]);
    await setSecret(namespace, 'largesse-mail', 'url', 'smtp://mail-b:1025?tls=none');
    // First a key that all know and none uses, then the one that all use.
    await setSecret(namespace, 'largesse-keyring', 'keyring.json', await keyringWith(namespace, 'k2'));
    await restartAll();
    // Pods of before finish what they have begun.
    await eventually(async () => expect(await users.inUse()).toEqual(['largesse-b']), patient);
    process.stderr.write(`changed Secrets were in use by all pods after ${seconds(beganMs)} s\n`);
    await setSecret(namespace, 'largesse-keyring', 'keyring.json', await keyringWith(namespace, 'k2', 'k2'));
    await restartAll();
    await eventually(async () => expect(await users.sealedUnder()).toEqual(['k1', 'k2']), patient);
    const { accepted, failures } = await stopLoad();
    expect(failures).toEqual([]);
    await allArrive(namespace, key, { name: 'rotated', accepted });
  });

  test('P74: a Secret that lacks a key stops the start with its name, and who runs goes on', async () => {
    const before = await podNames(namespace, CONSUMERS);
    const url = await removeFromSecret(namespace, 'largesse-mail', 'url');
    await namespace.kubectl('rollout', 'restart', `deployment/largesse-${CONSUMERS}`);
    await eventually(
      async () => expect(await waitingFor(namespace, CONSUMERS)).toContain("couldn't find key url in Secret"),
      patient,
    );
    expect(await podNames(namespace, CONSUMERS)).toEqual(before);
    await setSecret(namespace, 'largesse-mail', 'url', url);
    await namespace.kubectl('rollout', 'status', `deployment/largesse-${CONSUMERS}`, '--timeout=240s');
  });

  test('P56: a migration that fails stops the rollout, and the release before goes on serving', async () => {
    const before = await podNames(namespace, 'api');
    const nowhere = 'postgres://largesse:none@postgres:1/largesse?sslmode=disable';
    await namespace.apply([secret('nowhere', { url: nowhere })]);
    const broken = [...settings, 'database.existingSecret=nowhere', 'migrate.backoffLimit=0'];
    await expect(upgrade(namespace, broken)).rejects.toThrow(/pre-upgrade hooks failed/);
    expect(await podNames(namespace, 'api')).toEqual(before);
    const api = await openApi(namespace);
    expect(await api.send('ada@example.com')).toMatchObject({ state: 'queued' });
    await api.close();
    // What it said is there to be read.
    expect(await namespace.kubectl('logs', 'job/largesse-migrate')).toContain('DATABASE_URL');
    await upgrade(namespace, settings);
  });

  /** As docs/install.md says. */
  async function restartAll(): Promise<void> {
    const ours = ['--selector', 'app.kubernetes.io/part-of=largesse'];
    await namespace.kubectl('rollout', 'restart', 'deployment', ...ours);
    await namespace.kubectl('rollout', 'status', 'deployment', ...ours, '--timeout=240s');
  }

  async function setImage(component: string, container: string, image: string): Promise<void> {
    const deployment = `deployment/largesse-${component}`;
    await namespace.kubectl('set', 'image', deployment, `${container}=${image}`);
    await namespace.kubectl('rollout', 'status', deployment, '--timeout=240s');
  }
});

describe('pods come and go under load: no gift is lost, none is issued or delivered twice', () => {
  const ways = {
    'get SIGKILL': (pod: Pod) => killProcess(namespace, pod),
    'are deleted by force': (pod: Pod) => deleteByForce(namespace, pod),
    'are deleted': async ({ name }: Pod) => void (await namespace.kubectl('delete', 'pod', name)),
  };

  test.each(['api', CONSUMERS])(
    '%s: processes get SIGKILL, pods are deleted, by force and gently',
    async (component) => {
      const key = await newKey();
      const stopLoad = await startLoad(namespace, key, { name: `restless-${component}`, insists: true });
      for (const end of Object.values(ways)) {
        const [victim] = await twoReady(component);
        if (victim) await end(victim);
      }
      await twoReady(component);
      const { accepted, failures } = await stopLoad();
      expect(failures).toEqual([]);
      await allArrive(namespace, key, {
        name: `restless-${component}`,
        accepted,
        mayRepeat: component === CONSUMERS,
      });
    },
  );

  test('P28: KEDA takes consumers away while they work', async () => {
    const key = await newKey();
    await scaleBetween(3, 3);
    await eventually(async () => expect(await podNames(namespace, CONSUMERS)).toHaveLength(3), patient);
    const stopLoad = await startLoad(namespace, key, { name: 'scaled-in' });
    await eventually(async () => expect(await working()).toBeGreaterThan(0), patient);
    await scaleBetween(1, 1);
    // Nobody took part in the third one's mails meanwhile: those that go finish them, or give them back.
    await eventually(async () => expect(await allPods()).toHaveLength(1), patient);
    const { accepted, failures } = await stopLoad();
    expect(failures).toEqual([]);
    await allArrive(namespace, key, { name: 'scaled-in', accepted });
    await scaleBetween(2, 3);
  });

  function twoReady(component: string): Promise<Pod[]> {
    return eventually(async () => {
      const pods = await readyPods(namespace, component);
      expect(pods.length).toBeGreaterThanOrEqual(2);
      return pods;
    }, patient);
  }

  async function scaleBetween(minReplicaCount: number, maxReplicaCount: number): Promise<void> {
    const patch = JSON.stringify({ spec: { minReplicaCount, maxReplicaCount } });
    await namespace.kubectl(
      'patch',
      'scaledobject',
      `largesse-${CONSUMERS}`,
      '--type=merge',
      '--patch',
      patch,
    );
  }

  /** Those on their way out, too. */
  async function allPods(): Promise<string[]> {
    const selector = `app.kubernetes.io/component=${CONSUMERS}`;
    const names = await namespace.kubectl('get', 'pods', '--selector', selector, '--output', 'name');
    return names.split('\n').filter(Boolean);
  }

  /** Lines of the consumers' logs that tell of a delivery. */
  async function working(): Promise<number> {
    const selector = `app.kubernetes.io/component=${CONSUMERS}`;
    const log = await namespace.kubectl('logs', '--selector', selector, '--tail=5', '--since=5s');
    return log.split('\n').filter((line) => line.includes('gift_id')).length;
  }
});

const seconds = (sinceMs: number) => ((performance.now() - sinceMs) / 1_000).toFixed(0);
const idsOf = (pods: Pod[]) => [...new Set(pods.map(({ imageId }) => imageId))];
const imagesOf = async (component: string) => idsOf(await readyPods(namespace, component));
