import { describe, expect, test } from '@jest/globals';
import { buildCommand } from '../../../scripts/cluster/build-image.ts';

const source = { version: '0.1.0', revision: 'abc-dirty', epochSeconds: 1_795_824_000 };
const request = { name: 'largesse:dev', dockerfile: 'Dockerfile', source };

describe('the same source is the same image: nothing of it is the time of the build', () => {
  test.each([
    ['the builder of a cluster', { CLUSTER_TOOLS: '/tools' }, '/tools/build-image', '--timestamp'],
    ['docker', {}, 'docker', 'type=docker,name=largesse:dev,rewrite-timestamp=true'],
  ])('with %s', (_name, env, program, timeOption) => {
    const command = buildCommand(request, '/tmp/id', env);
    expect(command[0]).toBe(program);
    expect(command).toContain(timeOption);
    expect(command).toEqual(
      expect.arrayContaining([
        'SOURCE_DATE_EPOCH=1795824000',
        'VERSION=0.1.0',
        'REVISION=abc-dirty',
        'CREATED=2026-11-28T00:00:00.000Z',
        'org.opencontainers.image.version=0.1.0',
        'org.opencontainers.image.revision=abc-dirty',
      ]),
    );
  });
});

test('a release names its base, by digest', () => {
  const base = 'node:24-bookworm-slim@sha256:0f';
  expect(buildCommand(request, '/tmp/id', { BASE: base })).toContain(`BASE=${base}`);
  expect(buildCommand(request, '/tmp/id', {}).filter((option) => option.startsWith('BASE='))).toEqual([]);
});
