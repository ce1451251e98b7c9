import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from './support/command.ts';
import { enforcesPolicies } from './support/enforcement.ts';
import { installSurroundings, upgrade } from './support/installation.ts';
import { createNamespace, type Namespace } from './support/namespace.ts';

/** Ends with 0 when a connection opens, with 1 when it is refused or nothing answers. */
const CONNECT = `const [host, port] = process.argv.slice(1);
require('node:net').connect({ host, port, timeout: 3000 }).on('connect', () => process.exit(0))
  .on('timeout', () => process.exit(1)).on('error', () => process.exit(1));`;

/** Of the reconciler, in its own namespace unless said otherwise. */
const RIGHTS: [allowed: boolean, ...action: string[]][] = [
  [true, 'list', 'deadletterpolicies'],
  [true, 'patch', 'deadletterpolicies/largesse-gifts', '--subresource=status'],
  [true, 'update', 'leases/largesse-reconciler'],
  [true, 'create', 'events.events.k8s.io'],
  [false, 'patch', 'deadletterpolicies/largesse-gifts'],
  [false, 'create', 'deadletterpolicies'],
  [false, 'delete', 'deadletterpolicies'],
  [false, 'update', 'leases/another'],
  [false, 'get', 'secrets'],
  [false, 'list', 'pods'],
  [false, 'list', 'deadletterpolicies', '--all-namespaces'],
];

describe('what a pod may do, and nothing else', () => {
  let namespace: Namespace;
  let areEnforced: boolean;

  beforeAll(async () => {
    namespace = await createNamespace('largesse-bounds');
    await installSurroundings(namespace);
    await upgrade(namespace, ['consumers.gifts.scaling.minReplicas=1']);
    areEnforced = await enforcesPolicies(namespace);
    if (!areEnforced) process.stderr.write('NOT RUN: this cluster does not enforce NetworkPolicies\n');
  });
  afterAll(() => namespace.remove());

  test.each([
    ['api', 'postgres', 5432, true],
    ['api', 'sqs-emulator', 4566, true],
    ['api', 'mail', 1025, false],
    ['api', 'kubernetes.default', 443, false],
    ['api', '169.254.169.254', 80, false],
    ['consumer-gifts', 'mail', 1025, true],
    ['consumer-gifts', 'mail', 1080, false],
    ['consumer-gifts', 'largesse-api', 80, false],
    ['consumer-gifts', 'kubernetes.default', 443, false],
    ['consumer-gifts', '169.254.169.254', 80, false],
  ])('P73: whether %s reaches %s:%i is %s', async (component, host, port, may) => {
    if (!may && !areEnforced) return;
    const command = ['node', '--eval', CONNECT, '--', host, String(port)];
    const attempt = namespace.kubectl('exec', `deployment/largesse-${component}`, '--', ...command);
    expect(
      await attempt.then(
        () => true,
        () => false,
      ),
    ).toBe(may);
  });

  test.each(['api', 'consumer-gifts'])('%s has no rights in the cluster and no token', async (role) => {
    expect(await may(role, 'get', 'secrets')).toBe(false);
    expect(await may(role, 'list', 'pods')).toBe(false);
    expect(await may(role, 'get', 'deadletterpolicies')).toBe(false);
    const listed =
      "process.stdout.write(String(require('node:fs').existsSync('/var/run/secrets/kubernetes.io')))";
    const found = ['exec', `deployment/largesse-${role}`, '--', 'node', '--eval', listed];
    expect(await namespace.kubectl(...found)).toBe('false');
  });

  test.each(RIGHTS)('whether the reconciler may is %s: %s %s', async (allowed, ...action) => {
    expect(await may('reconciler', ...action)).toBe(allowed);
  });

  function may(role: string, ...action: string[]): Promise<boolean> {
    const account = `system:serviceaccount:${namespace.name}:largesse-${role}`;
    const ask = ['--namespace', namespace.name, 'auth', 'can-i', ...action, '--as', account];
    return run('kubectl', ask).then(
      () => true,
      () => false,
    );
  }

  test('P6: a process of ours is never PID 1, which would not hear a SIGTERM in its first second', async () => {
    const read = "process.stdout.write(require('node:fs').readFileSync('/proc/1/comm', 'utf8'))";
    const first = await namespace.kubectl('exec', 'deployment/largesse-api', '--', 'node', '--eval', read);
    expect(first.trim()).not.toBe('node');
  });
});
