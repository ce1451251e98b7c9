import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildImage } from '../../scripts/cluster/build-image.ts';
import { IMAGE_TAG } from '../../scripts/cluster/image-tag.ts';
import { describeSource } from '../../scripts/cluster/source.ts';
import { type Hooks, readConfigurations, releaseOfLargesse } from '../../scripts/skaffold/configuration.ts';
import { helmArguments } from '../../scripts/skaffold/helm-arguments.ts';
import { eventually } from '../support/eventually.ts';
import { changedClone } from './support/changed-clone.ts';
import { helm, run } from './support/command.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';
import { installDefinition } from './support/policies.ts';
import { forward } from './support/port-forward.ts';

const NAME = 'largesse-skaffold';
const CHANGED = `${IMAGE_TAG}-changed`;
const patient = { timeoutMs: 60_000, intervalMs: 500 };
/** The definition is the cluster's here: other tests have releases beside this one. */
const BESIDE_OTHERS = ['--set', 'crds.enabled=false'];

/** What skaffold.yaml says, done by hand in skaffold's order. Builds are those of `npm run cluster`, which takes them from there. */
describe('what skaffold.yaml says, step by step', () => {
  let namespace: Namespace;
  let key: string;

  beforeAll(async () => {
    namespace = await createNamespace(NAME);
    await installDefinition();
  });
  afterAll(() => namespace?.remove());

  test('KEDA is the one that it pins', async () => {
    const { version } = readConfigurations().flatMap(({ deploy }) => deploy.helm.releases)[0] ?? {};
    const image = 'jsonpath={.spec.template.spec.containers[0].image}';
    const operator = ['--namespace', 'keda', 'get', 'deployment', 'keda-operator', '--output', image];
    const there = (await run('kubectl', operator)).split(':').at(-1) ?? '';
    if (there !== version) process.stderr.write(`skaffold.yaml pins KEDA ${version}; tested with ${there}\n`);
    expect(there.split('.')[0]).toBe(version?.split('.')[0]);
  });

  test('every image that it builds is known to the nodes', async () => {
    const { items } = JSON.parse(await run('kubectl', ['get', 'nodes', '--output', 'json'])) as {
      items: { status: { images: { names: string[] | null }[] } }[];
    };
    const known = items.flatMap(({ status }) => status.images.flatMap(({ names }) => names ?? []));
    for (const { image } of readConfigurations().flatMap(({ build }) => build.artifacts))
      expect(known.some((name) => name.includes(`${image}:`))).toBe(true);
  });

  test('surroundings: hooks, manifests, and they are waited for', async () => {
    const [surroundings] = readConfigurations('dev', NAME);
    await runHooks(surroundings?.deploy.kubectl?.hooks?.before);
    for (const pattern of surroundings?.manifests?.rawYaml ?? [])
      await namespace.kubectl('apply', '--filename', pattern.replace('/*.yaml', ''));
    await allRolledOut();
    // The second time, as with each change: nothing is made anew, or the database would not know its password.
    expect(await runHooks(surroundings?.deploy.kubectl?.hooks?.before)).toContain('has its Secrets');
  });

  test('profile dev: the release is installed and answers at each port that is forwarded', async () => {
    await helm(
      'install',
      ...helmArguments(releaseOfLargesse('dev', NAME), image(IMAGE_TAG)),
      ...BESIDE_OTHERS,
    );
    await allRolledOut();
    const [, own] = readConfigurations('dev', NAME);
    const said = await runHooks(own?.deploy.helm.hooks?.after);
    key = /Your key +(lgk_\S+)/.exec(said)?.[1] ?? '';
    expect(own?.portForward?.map(({ localPort }) => localPort)).toEqual([8080, 1080]);
    for (const { resourceType, resourceName, port } of own?.portForward ?? []) {
      const way = await forward(namespace, resourceName, port, resourceType);
      const { status } = await fetch(`${way.url}/${resourceName === 'mail' ? 'email' : 'readyz'}`);
      await way.close();
      expect({ resourceName, status }).toEqual({ resourceName, status: 200 });
    }
  });

  test('the key that it prints sends a gift, and a second time the same key is printed', async () => {
    const [, own] = readConfigurations('dev', NAME);
    expect(await runHooks(own?.deploy.helm.hooks?.after)).toContain(key);
    const [api, mail] = await Promise.all([
      forward(namespace, 'largesse-api', 80),
      forward(namespace, 'mail', 1080),
    ]);
    const response = await fetch(`${api.url}/v1/gifts`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': 'one',
      },
      body: JSON.stringify({
        value: { amount: 2500, currency: 'EUR' },
        recipient: { type: 'email', email: 'ada@example.com' },
      }),
    });
    expect(response.status).toBe(202);
    await eventually(async () => {
      expect(await (await fetch(`${mail.url}/email`)).json()).toHaveLength(1);
    }, patient);
    await Promise.all([api.close(), mail.close()]);
  });

  test('P75: a changed line runs in the cluster: what was built is what the pods run', async () => {
    const { folder, remove } = changedClone('services/api/main.ts', "'listening'", "'listening, changed'");
    try {
      const times = [performance.now()];
      const lap = () => times.push(performance.now());
      const request = {
        name: `largesse:${CHANGED}`,
        dockerfile: join(folder, 'Dockerfile'),
        context: folder,
      };
      const id = buildImage({ ...request, source: describeSource() }, process.env);
      lap();
      const release = helmArguments(releaseOfLargesse('dev', NAME), image(CHANGED));
      await helm('upgrade', ...release, ...BESIDE_OTHERS);
      lap();
      await allRolledOut();
      lap();
      const [, own] = readConfigurations('dev', NAME);
      await runHooks(own?.deploy.helm.hooks?.after);
      lap();
      await eventually(async () => {
        expect(await namespace.kubectl('logs', 'deployment/largesse-api')).toContain('listening, changed');
      }, patient);
      const [imageId] = await running('imageID');
      expect(imageId).toBeDefined();
      expect(await running('image')).toEqual([expect.stringContaining(CHANGED)]);
      expect(id).toMatch(/^sha256:/);
      const seconds = times.slice(1).map((time, index) => ((time - (times[index] ?? 0)) / 1_000).toFixed(1));
      const total = (((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1_000).toFixed(1);
      process.stderr.write(
        `A changed line runs after ${total} s: build and load ${seconds[0]}, helm upgrade ${seconds[1]}, rollout ${seconds[2]}, hooks ${seconds[3]}\n`,
      );
    } finally {
      remove();
    }
  });

  test('profile ci: as many replicas as in production, and it ends when a gift has arrived, also in a database made anew', async () => {
    await namespace.kubectl('rollout', 'restart', 'deployment/postgres');
    await namespace.kubectl('rollout', 'status', 'deployment/postgres', '--timeout=120s');
    await helm(
      'upgrade',
      ...helmArguments(releaseOfLargesse('ci', NAME), image(IMAGE_TAG)),
      ...BESIDE_OTHERS,
    );
    await allRolledOut();
    await eventually(async () => expect(await running('image')).toHaveLength(2), patient);
    const [, own] = readConfigurations('ci', NAME);
    const said = await runHooks(own?.deploy.helm.hooks?.after);
    expect(said).toMatch(/Phase: +Succeeded/);
    // The key of before is one of a database that is gone.
    expect(said).not.toContain(key);
  });

  test('profile eks: renders with what it sets, and nothing of a developer’s cluster is in it', async () => {
    const release = releaseOfLargesse('eks');
    const args = helmArguments(release, { ...image('abc'), digest: `sha256:${'0'.repeat(64)}` });
    const text = await helm('template', ...args.filter((each) => each !== '--wait'), '--no-hooks');
    expect(text).toContain(`image: largesse@sha256:${'0'.repeat(64)}`);
    expect(text).not.toMatch(/largesse-dev|emulator/);
    // Objects of one namespace, tried on a real API server in that of this test.
    const own = text.replaceAll('namespace: largesse\n', `namespace: ${NAME}\n`);
    await run('kubectl', ['--namespace', NAME, 'apply', '--dry-run=server', '--filename', '-'], own);
  });

  async function allRolledOut(): Promise<void> {
    const names = await namespace.kubectl('get', 'deployments', '--output', 'name');
    for (const each of names.split('\n').filter(Boolean))
      await namespace.kubectl('rollout', 'status', each, '--timeout=180s');
  }

  /** Of the containers of the API's pods that stay. */
  async function running(field: 'image' | 'imageID'): Promise<string[]> {
    type Pod = {
      metadata: { deletionTimestamp?: string };
      status: { containerStatuses?: Record<string, string>[] };
    };
    const selector = ['--selector', 'app.kubernetes.io/component=api'];
    const { items } = await namespace.get<{ items: Pod[] }>('pods', ...selector);
    const staying = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    return staying.flatMap(({ status }) => status.containerStatuses?.map((each) => each[field] ?? '') ?? []);
  }
});

const image = (tag: string) => ({ artifact: 'largesse', repository: 'largesse', tag });

async function runHooks(hooks: Hooks['after'] = []): Promise<string> {
  const said: string[] = [];
  for (const { host } of hooks) {
    const [command = '', ...args] = host.command;
    said.push(await run(command, args));
  }
  return said.join('\n');
}
