import { expect, test } from '@jest/globals';
import { missingSecrets } from '../../../scripts/cluster/secrets.ts';

const names = (found: Parameters<typeof missingSecrets>[0]) =>
  missingSecrets(found).map(({ metadata }) => metadata.name);

test('an empty namespace gets all Secrets, a whole one none', () => {
  const all = names(new Map());
  expect(all).toHaveLength(5);
  expect(names(new Map(all.map((name) => [name, {}])))).toEqual([]);
});

test('a lost address of the database is made with the password that the database has', () => {
  const found = new Map([['postgres', { password: Buffer.from('kept').toString('base64') }]]);
  const database = missingSecrets(found).find(({ metadata }) => metadata.name === 'largesse-database');
  expect(database?.stringData['url']).toContain('//largesse:kept@');
});

test('two clusters have nothing in common', () => {
  const [one, another] = [missingSecrets(new Map()), missingSecrets(new Map())];
  const secretOf = (secrets: typeof one, name: string) =>
    JSON.stringify(secrets.find(({ metadata }) => metadata.name === name)?.stringData);
  for (const name of ['postgres', 'largesse-database', 'largesse-keyring'])
    expect(secretOf(one, name)).not.toBe(secretOf(another, name));
});
