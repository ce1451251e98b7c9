import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createContext } from '../../../services/admin/context.ts';
import { parseCommandLine } from '../../../services/admin/program.ts';
import { createKeyringFile, parseKeyring } from '../../../services/domain/recipients/keyring.ts';
import { checkKeyring, KeyringMismatch } from '../../../services/domain/recipients/known-keys.ts';
import { lookupRotation } from '../../../services/domain/recipients/rotate-lookup.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { accept, draftGift, fundedSender, keyring as ofGifts } from '../../support/gifts.ts';
import { killRoles, startRole } from '../../support/role-process.ts';
import { createSystem, type System } from './system.ts';

describe('what the keyring of a database is', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());
  const check = (text: string) => checkKeyring(database.db, parseKeyring(text));
  const withWrappingKey = (text: string, name: string) => {
    const file = JSON.parse(text);
    const { keys } = JSON.parse(createKeyringFile(name));
    return JSON.stringify({ ...file, current: name, keys: { ...file.keys, ...keys } });
  };

  test('its first use decides; rotations and removed keys fit, another key under a known name or none known does not', async () => {
    const first = createKeyringFile('k1');
    await check(first);
    await check(first);
    const rotated = lookupRotation.use(lookupRotation.add(withWrappingKey(first, 'k2')).json, 2);
    await check(rotated);
    // A process of before the rotation.
    await check(first);
    const { keys, ...rest } = JSON.parse(rotated);
    await check(JSON.stringify({ ...rest, keys: { k2: keys.k2 } }));
    await expect(check(createKeyringFile('k1'))).rejects.toThrow('its wrapping key "k1" is another one');
    await expect(check(createKeyringFile('k9'))).rejects.toThrow('its lookup key "1" is another one');
    const apart = { ...JSON.parse(createKeyringFile('k9')) };
    apart.lookup = { current: 7, keys: { 7: apart.lookup } };
    await expect(check(JSON.stringify(apart))).rejects.toThrow('it has none of the keys');
    // What does not fit leaves nothing behind.
    await check(withWrappingKey(rotated, 'k9'));
  });
});

test('a database of before keys were remembered is not taken over by a keyring that can not read its gifts', async () => {
  const database = await createTestDatabase();
  try {
    await accept(database.db, [draftGift(await fundedSender(database.db, 10_000))]);
    const other = parseKeyring(createKeyringFile('other'));
    await expect(checkKeyring(database.db, other)).rejects.toBeInstanceOf(KeyringMismatch);
    await checkKeyring(database.db, ofGifts);
  } finally {
    await database.drop();
  }
});

describe('a process with another keyring than the one its database was used with', () => {
  let system: System;
  let folder: string;
  let KEYRING_FILE: string;
  beforeAll(async () => {
    system = await createSystem();
    await checkKeyring(system.database.db, system.keyring);
    folder = await mkdtemp(join(tmpdir(), 'largesse-keyring-'));
    KEYRING_FILE = join(folder, 'keyring.json');
    await writeFile(KEYRING_FILE, createKeyringFile('test'));
  }, 60_000);
  afterEach(killRoles);
  afterAll(async () => {
    await system.end();
    await rm(folder, { recursive: true });
  });

  test.each([
    ['api', []],
    ['consumer', ['gifts']],
  ])(
    '%s does not start, and says why with exit code 2',
    async (role, args) => {
      const backing = { AWS_ENDPOINT_URL_SQS: system.emulator.endpoint, SMTP_URL: system.mail.url };
      const started = startRole(role, args, { ...system.env, ...backing, KEYRING_FILE });
      expect(await started.ended).toBe(2);
      expect(started.output()).toContain('KEYRING_FILE: the keyring is not the one that this database was');
      expect(started.lines().some(({ event }) => event === 'started' || event === 'consumer_started')).toBe(
        false,
      );
    },
    60_000,
  );

  test('admin makes no key with it, and tells when asked', async () => {
    const admin = async (file: string, ...args: string[]) => {
      const asked = parseCommandLine(args);
      if (asked.kind !== 'run') throw new Error('nothing to run');
      return await asked.run(createContext({ ...system.env, KEYRING_FILE: file }));
    };
    const said = 'KEYRING_FILE: the keyring is not the one';
    const key = ['create-key', '--sender', system.sender.senderId, '--roles', 'sender'];
    await expect(admin(KEYRING_FILE, ...key)).rejects.toThrow(said);
    await expect(admin(KEYRING_FILE, 'check-keyring')).rejects.toThrow(said);
    const own = system.env['KEYRING_FILE'] ?? '';
    expect(await admin(own, 'check-keyring')).toMatchObject({ json: { fits: true, current: 'test' } });
    await expect(admin(own, ...key)).resolves.toMatchObject({ shownOnce: true });
  });
});
