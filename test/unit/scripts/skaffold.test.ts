import { existsSync, globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { parseAllDocuments } from 'yaml';
import { inputsOf } from '../../../scripts/cluster/build-images.ts';
import { FILE, readConfigurations, releaseOfLargesse } from '../../../scripts/skaffold/configuration.ts';
import { helmArguments } from '../../../scripts/skaffold/helm-arguments.ts';
import { patched } from '../../../scripts/skaffold/patch.ts';

const documents = parseAllDocuments(readFileSync(FILE, 'utf8')).map((each) => each.toJS());
/** Skaffold's own schema (Apache-2.0) of the version that the file names. */
const schema = JSON.parse(readFileSync(`${import.meta.dirname}/skaffold-v4beta13.schema.json`, 'utf8'));
const validate = new Ajv({ strict: false }).compile(schema);
const profiles = [undefined, 'dev', 'ci', 'eks'];

describe('skaffold reads skaffold.yaml', () => {
  test('each configuration is one by the schema of its version', () => {
    for (const document of documents) {
      expect(document.apiVersion).toBe('skaffold/v4beta13');
      validate(document);
      expect(validate.errors ?? []).toEqual([]);
    }
  });

  test('the schema refuses what skaffold would', () => {
    for (const mistake of [{ deploy: { helm: { release: [] } } }, { profiles: [{ patches: [] }] }])
      expect(validate({ ...documents[1], ...mistake })).toBe(false);
  });

  test.each(profiles.slice(1))('with profile %s it is one, too', (profile) => {
    for (const configuration of readConfigurations(profile)) expect(validate(configuration)).toBe(true);
  });

  test('the profiles are those that the documents tell of', () => {
    const names = documents.flatMap(({ profiles: some = [] }) =>
      some.map(({ name }: { name: string }) => name),
    );
    expect(names).toEqual(profiles.slice(1));
  });
});

describe.each(profiles)('with profile %s', (profile) => {
  const configurations = readConfigurations(profile);
  const release = releaseOfLargesse(profile);

  test('every file that it names is there', () => {
    const artifacts = configurations.flatMap(({ build }) => build.artifacts);
    const releases = configurations.flatMap(({ deploy }) => deploy.helm.releases);
    const files = [
      ...artifacts.flatMap(({ docker }) => inputsOf(docker)),
      ...releases.flatMap(({ chartPath = [], valuesFiles = [] }) => [chartPath, ...valuesFiles].flat()),
      ...configurations.flatMap(({ manifests }) => manifests?.rawYaml ?? []),
    ];
    expect(files.filter((file) => !existsSync(file) && globSync(file).length === 0)).toEqual([]);
  });

  test('every image that a manifest names is built', () => {
    const built = configurations.flatMap(({ build }) => build.artifacts.map(({ image }) => image));
    const manifests = configurations.flatMap(({ manifests: some }) => some?.rawYaml ?? []);
    const text = manifests.flatMap((glob) => globSync(glob)).map((file) => readFileSync(file, 'utf8'));
    const named = [...text.join('\n').matchAll(/image: ([\w-]+):/g)].map(([, image]) => image);
    expect(built.toSorted()).toEqual([...named, 'largesse'].toSorted());
  });

  test('every value that it sets is one of the chart', () => {
    const keys = Object.keys({ ...release.setValues, ...release.setValueTemplates });
    expect(keys.filter((key) => !isValue(key))).toEqual([]);
    expect(keys).toEqual(expect.arrayContaining(['image.repository', 'image.tag', 'image.digest']));
  });

  test('P75: the image that was built is the one that the release gets', () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const image = { artifact: 'largesse', repository: 'registry.example.com/largesse', tag: 'abc', digest };
    expect(helmArguments(release, image)).toEqual(
      expect.arrayContaining([
        `image.repository=${image.repository}`,
        'image.tag=abc',
        `image.digest=${digest}`,
      ]),
    );
  });
});

test('what the release needs is deployed before it, and named by its namespace', () => {
  expect(readConfigurations().map(({ metadata }) => metadata.name)).toEqual(['surroundings', 'largesse']);
  const moved = releaseOfLargesse(undefined, 'elsewhere');
  expect(moved).toMatchObject({
    namespace: 'elsewhere',
    setValues: { 'aws.endpointUrl': 'http://sqs-emulator.elsewhere.svc:4566' },
  });
});

test('on EKS nothing of a developer is left: no surroundings, no made-up sender, no emulator', () => {
  const [, own] = readConfigurations('eks');
  expect(own?.requires).toBeUndefined();
  expect(own?.deploy.helm.hooks).toBeUndefined();
  expect(JSON.stringify(own?.deploy)).not.toMatch(/largesse-dev|emulator/);
});

test('the chart and its values are versions that skaffold can pin: KEDA by a number', () => {
  const keda = readConfigurations().flatMap(({ deploy }) => deploy.helm.releases)[0];
  expect(keda).toMatchObject({ name: 'keda', version: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
});

describe('patches of a profile', () => {
  test.each([
    ['add', '/list/-', { list: [1, 2] }],
    ['replace', '/list', { list: 2 }],
    ['add', '/more', { list: [1], more: 2 }],
    ['remove', '/list', {}],
  ] as const)('%s %s', (op, path, result) => {
    expect(patched({ list: [1] }, [{ op, path, value: 2 }])).toEqual(result);
  });

  test.each([
    ['remove', '/gone'],
    ['replace', '/gone/deeper'],
    ['add', '/gone/deeper'],
  ] as const)('%s %s is refused: there is nothing', (op, path) => {
    expect(() => patched({ list: [1] }, [{ op, path }])).toThrow('no such place');
  });
});

type Schema = { $ref?: string; properties?: Record<string, Schema>; $defs?: Record<string, Schema> };
const values = JSON.parse(readFileSync('charts/largesse/values.schema.json', 'utf8')) as Schema;

function isValue(path: string): boolean {
  let found: Schema | undefined = values;
  for (const key of path.split('.')) {
    found = found?.properties?.[key];
    const name: string | undefined = found?.$ref?.split('/').at(-1);
    if (name !== undefined) found = values.$defs?.[name];
  }
  return found !== undefined;
}
