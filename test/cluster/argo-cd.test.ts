import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { IMAGE_TAG } from '../../scripts/cluster/image-tag.ts';
import { secret } from '../../scripts/cluster/secrets.ts';
import { releaseOfLargesse } from '../../scripts/skaffold/configuration.ts';
import { helmArguments } from '../../scripts/skaffold/helm-arguments.ts';
import { eventually } from '../support/eventually.ts';
import { openApi } from './support/api.ts';
import { nameOf, sync, wavesOf } from './support/argo-cd.ts';
import { helm } from './support/command.ts';
import { installSurroundings } from './support/installation.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';
import { installDefinition } from './support/policies.ts';

const NAME = 'largesse-argo';
const patient = { timeoutMs: 120_000, intervalMs: 1_000 };

/** `helm template`, and none of Helm's own life of a release: what Argo CD gets, and all it gets. */
describe('P64: the chart as Argo CD sees it', () => {
  let namespace: Namespace;

  beforeAll(async () => {
    namespace = await createNamespace(NAME);
    await installSurroundings(namespace);
    await installDefinition();
  });
  afterAll(() => namespace?.remove());

  test('what a hook needs is applied in a wave before it, and nothing of it is an ordinary object', async () => {
    const waves = wavesOf(await render());
    expect(waves.map(({ phase, weight }) => `${phase} ${weight}`)).toEqual([
      ...['PreSync -10', 'PreSync 0'],
      'Sync 0',
      ...['PostSync -10', 'PostSync 0'],
    ]);
    const [before, migration] = waves.map(({ objects }) => objects.map(nameOf));
    expect(before).toEqual(['networkpolicy/largesse-migrate', 'serviceaccount/largesse-migrate']);
    expect(migration).toEqual(['job/largesse-migrate']);
    const names = waves.flatMap(({ objects }) => objects.map(nameOf));
    // An object that were a hook and an ordinary one would be deleted after each sync.
    expect(names).toEqual([...new Set(names)]);
    expect(names).not.toContain('pod/largesse-test');
  });

  test('a first sync into a namespace without any of it: it migrates, serves and delivers', async () => {
    await sync(namespace, await render());
    const api = await openApi(namespace);
    await api.send('argo@example.com');
    await eventually(async () => expect(await api.states()).toEqual(['delivered']), patient);
    await api.close();
    const policies = await namespace.kubectl('get', 'dlp', '--output', 'name');
    expect(policies.trim()).toBe('deadletterpolicy.largesse.dev/largesse-gifts');
  });

  test('a second sync of the same changes nothing, and its migration is no work', async () => {
    const before = await pods();
    const times = await sync(namespace, await render());
    expect(await pods()).toEqual(before);
    const seconds = ((times.get('job/largesse-migrate') ?? 0) / 1_000).toFixed(1);
    process.stderr.write(`a migration with nothing to do: ${seconds} s, its pod included\n`);
  });

  test('after a sync no hook is left, and no account that may make policies', async () => {
    const kinds = 'jobs,serviceaccounts,roles,rolebindings,networkpolicies';
    const left = await namespace.kubectl('get', kinds, '--output', 'name');
    expect(left).not.toMatch(/largesse-(migrate|policies)/);
    expect(left).toContain('serviceaccount/largesse-api');
  });

  test('a migration that fails fails the sync, before anything that serves is changed', async () => {
    const before = await pods();
    const nowhere = 'postgres://largesse:none@postgres:1/largesse?sslmode=disable';
    await namespace.apply([secret('nowhere', { url: nowhere })]);
    const broken = await render(
      'database.existingSecret=nowhere',
      'migrate.backoffLimit=0',
      'settings.LOG_LEVEL=debug',
    );
    await expect(sync(namespace, broken)).rejects.toThrow(/largesse-migrate failed/);
    expect(await pods()).toEqual(before);
    await sync(namespace, await render());
  });

  function render(...settings: string[]): Promise<string> {
    const image = { artifact: 'largesse', repository: 'largesse', tag: IMAGE_TAG };
    const values = ['crds.enabled=false', ...settings].flatMap((value) => ['--set', value]);
    return helm('template', ...helmArguments(releaseOfLargesse(undefined, NAME), image), ...values);
  }

  /** Those of the API that stay. */
  async function pods(): Promise<string[]> {
    type Pod = { metadata: { name: string; deletionTimestamp?: string } };
    const selector = ['--selector', 'app.kubernetes.io/component=api'];
    const { items } = await namespace.get<{ items: Pod[] }>('pods', ...selector);
    return items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ metadata }) => metadata.name)
      .sort();
  }
});
