import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { explainFailure } from '../../../../services/reconciler/failures.ts';
import { openAccess } from '../../../../services/reconciler/kubernetes/access.ts';
import { ApiClient } from '../../../../services/reconciler/kubernetes/api-client.ts';
import { KubernetesError } from '../../../../services/reconciler/kubernetes/kubernetes-error.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'largesse-account-'));
});
beforeEach(async () => {
  for (const [name, text] of [
    ['ca.crt', 'authority'],
    ['namespace', 'gifts\n'],
    ['token', 'first\n'],
  ] as const)
    await writeFile(join(folder, name), text);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const inPod = (host: string, port = 443) =>
  openAccess({ kubeconfig: undefined, service: { host, port }, accountFolder: folder });

describe('a pod', () => {
  test('reaches the API server by its own account, whose token is read anew for every request', async () => {
    const access = await inPod('10.96.0.1');
    expect([access.server.href, access.namespace]).toEqual(['https://10.96.0.1/', 'gifts']);
    expect(await access.credentials()).toEqual({
      ca: 'authority',
      headers: { authorization: 'Bearer first' },
    });
    await writeFile(join(folder, 'token'), 'second');
    expect(await access.credentials()).toMatchObject({ headers: { authorization: 'Bearer second' } });
  });

  test('has an API server with an address of IPv6', async () => {
    expect((await inPod('fd00::1', 6443)).server.href).toBe('https://[fd00::1]:6443/');
  });

  test('without an account is told what is missing', async () => {
    await rm(join(folder, 'namespace'));
    await expect(inPod('10.96.0.1')).rejects.toThrow(
      `${folder}/namespace can't be read (ENOENT): the pod has no account (automountServiceAccountToken)`,
    );
  });
});

test('a kubeconfig comes before the account of a pod, and its context says the namespace', async () => {
  const path = join(folder, 'config');
  const config = {
    clusters: [{ name: 'c', cluster: { server: 'https://kube.example:6443/base' } }],
    users: [{ name: 'u', user: { token: 'secret' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'theirs' } }],
    'current-context': 'x',
  };
  await writeFile(path, JSON.stringify(config));
  const access = await openAccess({ kubeconfig: path, service: { host: '10.96.0.1', port: 443 } });
  expect([access.server.href, access.namespace]).toEqual(['https://kube.example:6443/base', 'theirs']);
  expect(await access.credentials()).toMatchObject({ headers: { Authorization: 'Bearer secret' } });
});

describe('what an API server is asked for', () => {
  const explain = (error: unknown) => explainFailure(error, { databaseUrl: '', sqsEndpoint: undefined });

  test('when nobody answers, is worth another try, and no token is in what is said', async () => {
    const access = await inPod('127.0.0.1', 1);
    const client = new ApiClient({
      ...access,
      credentials: async () => ({ headers: { authorization: 'Bearer first' } }),
    });
    const error = await client.request({ method: 'GET', path: '/' }).catch((caught: unknown) => caught);
    client.close();
    expect(error).toBeInstanceOf(KubernetesError);
    expect(explain(error)).toMatchObject({
      outcome: 'again',
      event: 'kubernetes_unreachable',
      message: "the API server at 127.0.0.1:1 can't be reached (ECONNREFUSED)",
    });
    expect(JSON.stringify(error)).not.toContain('first');
  });

  test.each<[number, string, 'again' | 'needs_person']>([
    [401, 'the API server does not know this account', 'needs_person'],
    [403, 'the account of the reconciler lacks a permission', 'needs_person'],
    [404, 'the CustomResourceDefinition deadletterpolicies.largesse.dev is not installed', 'needs_person'],
    [422, 'no', 'needs_person'],
    [429, 'no', 'again'],
    [500, 'no', 'again'],
    [503, 'no', 'again'],
    [504, 'no', 'again'],
  ])('when it answers %i, is for a person or worth another try, in words', (status, sentence, outcome) => {
    const failure = explain(new KubernetesError({ status, reason: 'Whatever', message: 'no' }));
    expect(failure).toMatchObject({ outcome, message: expect.stringContaining(sentence) });
  });
});
