import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import { type GiftId, toUuid } from '../../../services/domain/ids.ts';
import { lookupRotation } from '../../../services/domain/recipients/rotate-lookup.ts';
import { eventually } from '../../support/eventually.ts';
import { killRoles } from '../../support/role-process.ts';
import { type ApiProcess, acceptOverHttp, createSystem, giftBody, postJson, type System } from './system.ts';

let system: System;
let folder: string;
/** The keyring file of each step, as the processes of that step have it. */
let files: Record<'knows' | 'uses' | 'refuses', { KEYRING_FILE: string }>;

beforeAll(async () => {
  system = await createSystem();
  folder = await mkdtemp(join(tmpdir(), 'largesse-rotation-'));
  const { json: knows, version } = lookupRotation.add(system.keyringText);
  const uses = lookupRotation.use(knows, version);
  const written = await Promise.all(
    Object.entries({ knows, uses, refuses: lookupRotation.retire(uses, 1) }).map(async ([step, json]) => {
      const file = join(folder, step);
      await writeFile(file, json);
      return [step, { KEYRING_FILE: file }];
    }),
  );
  files = Object.fromEntries(written);
}, 60_000);

afterEach(killRoles);

afterAll(async () => {
  await system.end();
  await rm(folder, { recursive: true });
});

const claim = (api: ApiProcess, token: string) => postJson(api, null, '/v1/claims', { token });

async function give(api: ApiProcess, key: string): Promise<{ status: number; replayed: string | null }> {
  const answer = await fetch(`${api.url}/v1/gifts`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'idempotency-key': key,
      authorization: `Bearer ${system.sender.key}`,
    },
    body: JSON.stringify(giftBody(9)),
  });
  await answer.body?.cancel();
  return { status: answer.status, replayed: answer.headers.get('idempotency-replayed') };
}

async function mailedToken(index: number, not = ''): Promise<string> {
  return await eventually(
    () => {
      const mails = system.mail.mails().filter(({ to }) => String(to).includes(`recipient-${index}@`));
      const tokens = mails.flatMap(({ link }) => /clt_[0-9a-z]+/.exec(link)?.[0] ?? []);
      const token = tokens.find((one) => one !== not);
      if (token === undefined) throw new Error('no mail yet');
      return token;
    },
    { timeoutMs: 60_000 },
  );
}

async function keyVersion(): Promise<number> {
  const { rows } = await system.database.pool.query('select lookup_version from api_keys');
  return rows[0].lookup_version;
}

test('a rotation of the lookup key, with old and new processes side by side, breaks no link, key, code or repeat', async () => {
  const [knowing, using, consumer] = await Promise.all([
    system.startApi(files.knows),
    system.startApi(files.uses),
    system.startConsumer(files.uses),
  ]);
  const first = await give(knowing, 'rotation');
  expect(first).toEqual({ status: 202, replayed: null });
  // The same request at a process that hashes otherwise is the same request: 422 would make its sender give twice.
  expect(await give(using, 'rotation')).toEqual({ status: 202, replayed: 'true' });
  // The key was hashed anew at its use there, and both processes still know it.
  expect(await keyVersion()).toBe(2);
  expect(await give(knowing, 'rotation')).toEqual({ status: 202, replayed: 'true' });
  expect(await keyVersion()).toBe(2);
  const second = await give(using, 'rotation-2');
  expect(second.status).toBe(202);
  expect(await give(knowing, 'rotation-2')).toEqual({ status: 202, replayed: 'true' });

  const [id, other] = await acceptOverHttp(knowing, system.sender, [giftBody(1), giftBody(2)]);
  const token = await mailedToken(1);
  expect(token).toHaveLength(58);
  await mailedToken(2);
  if (id === undefined || other === undefined) throw new Error('nothing accepted');
  await eventually(async () => expect((await claim(knowing, token)).status).toBe(201), {
    timeoutMs: 30_000,
  });
  // A link of before the rotation: nobody had stored it, and it still holds.
  expect((await claim(using, claimToken(system.keyring, other, 1))).status).toBe(201);
  expect(await Promise.all([knowing.stop(), using.stop(), consumer.stop()])).toEqual([0, 0, 0]);
}, 180_000);

test('a retired version makes the links of before worthless, a resend mails one that works, and repeats still hold', async () => {
  const before = await Promise.all([system.startApi(files.knows), system.startConsumer(files.knows)]);
  expect((await give(before[0], 'retirement')).status).toBe(202);
  const [id] = await acceptOverHttp(before[0], system.sender, [giftBody(3)]);
  const leaked = await mailedToken(3);
  await eventually(
    async () => {
      const { rows } = await system.database.pool.query('select state from gifts where id = $1', [
        toUuid(id as GiftId),
      ]);
      expect(rows).toEqual([{ state: 'delivered' }]);
    },
    { timeoutMs: 30_000 },
  );
  await Promise.all(before.map((role) => role.stop()));

  const after = await system.startApi({ ...files.refuses, RESEND_COOLDOWN_SECONDS: '0' });
  await system.startConsumer(files.refuses);
  expect((await claim(after, leaked)).status).toBe(404);
  expect((await postJson(after, system.sender, `/v1/gifts/${id}/resend`, {})).status).toBe(202);
  const fresh = await mailedToken(3, leaked);
  expect((await claim(after, fresh)).status).toBe(201);
  expect(await give(after, 'retirement')).toEqual({ status: 202, replayed: 'true' });
}, 180_000);
