import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createKeyringFile } from '../../../services/domain/recipients/keyring.ts';
import { serverUrl } from '../../support/database.ts';
import { killRoles, startRole } from '../../support/role-process.ts';

let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'largesse-roles-'));
  await writeFile(join(folder, 'keyring.json'), createKeyringFile('test'));
  await writeFile(join(folder, 'other.json'), '{"current": 7}');
  env = {
    DATABASE_URL: serverUrl(),
    KEYRING_FILE: join(folder, 'keyring.json'),
    AWS_REGION: 'eu-central-1',
    AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    PUBLIC_URL: 'https://gifts.example.com',
    SMTP_URL: 'smtp://127.0.0.1:1?tls=none',
    MAIL_FROM: 'gifts@example.com',
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
  };
});
afterEach(killRoles);
afterAll(() => rm(folder, { recursive: true }));

const roles: [string, string[]][] = [
  ['api', []],
  ['consumer', ['gifts']],
];

describe.each(roles)('%s', (role, args) => {
  test('0: asked for help it starts nothing', async () => {
    const asked = startRole(role, [...args, '--help'], {});
    expect([await asked.ended, asked.output()]).toEqual([0, expect.stringMatching(/^usage: node dist\//)]);
  });

  test('2: a word that it does not know is not passed over', async () => {
    const asked = startRole(role, [...args, '--dry-run'], env);
    expect([await asked.ended, asked.output()]).toEqual([2, expect.stringMatching(/^usage: node dist\//)]);
  });

  test.each([
    ['is not there', 'nowhere/keyring.json', /is not there/],
    ['is a folder', '.', /is a folder/],
    ['is no keyring', 'other.json', /keys: is missing/],
  ])('2: a keyring file that %s is one sentence that names the variable', async (_what, name, said) => {
    const started = startRole(role, args, { ...env, KEYRING_FILE: join(folder, name) });
    expect(await started.ended).toBe(2);
    expect(started.output()).toMatch(/^\s*KEYRING_FILE: /m);
    expect(started.output()).toMatch(said);
    expect(started.output()).not.toMatch(/^\s+at |"stack"|expected|received/m);
  });

  test('2: a port that is taken, and an address that is none of this machine', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const taken = startRole(role, args, { ...env, METRICS_PORT: String(port) });
    const elsewhere = startRole(role, args, { ...env, HOST: '203.0.113.9' });
    expect([await taken.ended, await elsewhere.ended]).toEqual([2, 2]);
    other.close();
    expect(taken.output()).toContain(`METRICS_PORT: port ${port} is taken by another process`);
    expect(elsewhere.output()).toContain('HOST: this machine has no address 203.0.113.9');
  });
});
