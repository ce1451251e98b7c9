import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { secret } from '../../scripts/cluster/secrets.ts';
import { eventually } from '../support/eventually.ts';
import { openApi } from './support/api.ts';
import { certificatesFor } from './support/certificates.ts';
import { installSurroundings, upgrade } from './support/installation.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';

const URL_TAIL = '?sslmode=verify-full&sslrootcert=/etc/rds/bundle.pem';
/** As in k8s/eks/values.yaml. */
const BUNDLE = [
  ...['extraVolumes[0].name=rds-ca', 'extraVolumes[0].configMap.name=rds-ca'],
  ...[
    'extraVolumeMounts[0].name=rds-ca',
    'extraVolumeMounts[0].mountPath=/etc/rds',
    'extraVolumeMounts[0].readOnly=true',
  ],
];
const patient = { timeoutMs: 120_000, intervalMs: 1_000 };

/** What docs/eks.md says of RDS, with an authority of our own. */
describe('a database that proves its name by an authority that no image knows', () => {
  let namespace: Namespace;

  beforeAll(async () => {
    namespace = await createNamespace('largesse-verified');
    await installSurroundings(namespace);
    const [{ authority, certificate, key }, another] = await Promise.all([
      certificatesFor('postgres'),
      certificatesFor('postgres'),
    ]);
    await namespace.apply([
      secret('postgres-tls', { 'tls.crt': certificate, 'tls.key': key }),
      configMap('rds-ca', `${another.authority}${authority}`),
      configMap('others-ca', another.authority),
    ]);
    await encrypt(namespace);
    const { data } = await namespace.get<{ data: { password: string } }>('secret', 'postgres');
    const password = Buffer.from(data.password, 'base64').toString();
    const url = `postgres://largesse:${password}@postgres:5432/largesse${URL_TAIL}`;
    await namespace.apply([secret('largesse-database', { url })]);
  });
  afterAll(() => namespace?.remove());

  test('by another authority, nothing is installed, and the migration says why', async () => {
    const others = BUNDLE.map((value) => value.replace('configMap.name=rds-ca', 'configMap.name=others-ca'));
    await expect(upgrade(namespace, [...others, 'migrate.backoffLimit=0'])).rejects.toThrow(
      /largesse-migrate failed/,
    );
    expect(await namespace.kubectl('logs', 'job/largesse-migrate')).toMatch(/certificate/i);
  });

  test('with its bundle mounted, every role comes to it, encrypted, and a gift is delivered', async () => {
    await upgrade(namespace, BUNDLE);
    const api = await openApi(namespace);
    await api.send('verified@example.com');
    await eventually(async () => expect(await api.states()).toEqual(['delivered']), patient);
    await api.close();
  });
});

function configMap(name: string, bundle: string): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { 'bundle.pem': bundle } };
}

/** The database of a developer's cluster, which from now on lets nobody in without TLS. */
async function encrypt(namespace: Namespace): Promise<void> {
  const options = '-c ssl=on -c ssl_cert_file=/run/tls/tls.crt -c ssl_key_file=/run/tls/tls.key';
  const script = `sed 's|^exec postgres|& ${options}|; s|host all all all|hostssl all all all|' /opt/run.sh | /bin/sh`;
  const spec = {
    containers: [
      {
        name: 'postgres',
        command: ['/bin/sh', '-c', script],
        volumeMounts: [{ name: 'tls', mountPath: '/run/tls', readOnly: true }],
      },
    ],
    volumes: [{ name: 'tls', secret: { secretName: 'postgres-tls', defaultMode: 0o440 } }],
  };
  const patch = JSON.stringify({ spec: { template: { spec } } });
  await namespace.kubectl('patch', 'deployment', 'postgres', '--patch', patch);
  await namespace.kubectl('rollout', 'status', 'deployment/postgres', '--timeout=120s');
}
