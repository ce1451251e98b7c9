import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import request from 'supertest';
import { toUuid } from '../../../services/domain/ids.ts';
import { mintApiKey } from '../../../services/domain/senders/api-key.ts';
import { postGift, startTestApi, type TestApi, type TestSender } from '../../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());

const list = (authorization?: string) => {
  const asked = request(api.app).get('/v1/gifts');
  return authorization === undefined ? asked : asked.set('Authorization', authorization);
};

describe('401', () => {
  test('without a key, and with what is none: says how, by WWW-Authenticate', async () => {
    for (const header of [undefined, '', 'Basic YTpi', 'Bearer', 'Bearer a b']) {
      const answer = await list(header);
      expect([answer.status, answer.body.code]).toEqual([401, 'unauthenticated']);
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="largesse"');
    }
  });

  test('with a key that is not known, malformed, or known but for its last character', async () => {
    const { key } = await api.sender();
    const last = key.endsWith('A') ? 'B' : 'A';
    for (const bad of [mintApiKey().key, 'lgk_short', `${key.slice(0, -1)}${last}`, `${key}x`]) {
      const answer = await list(`Bearer ${bad}`);
      expect([answer.status, answer.body.detail]).toEqual([401, 'the API key is not known']);
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
    }
  });

  test('with a key that has expired, was revoked, or whose sender is suspended', async () => {
    const refused = async (sender: TestSender) => (await list(`Bearer ${sender.key}`)).body.detail;
    expect(await refused(await api.sender({ expiresAt: new Date(Date.now() - 1_000) }))).toContain('expired');
    const revoked = await api.sender();
    await api.database.db
      .updateTable('api_keys')
      .set({ revoked_at: new Date() })
      .where('sender_id', '=', toUuid(revoked.senderId))
      .execute();
    expect(await refused(revoked)).toContain('revoked');
    const suspended = await api.sender();
    await api.database.db
      .updateTable('senders')
      .set({ status: 'suspended' })
      .where('id', '=', toUuid(suspended.senderId))
      .execute();
    expect(await refused(suspended)).toContain('suspended');
  });

  test('the secret of a key is stored nowhere, and stands in no log', async () => {
    const { key } = await api.sender();
    await list(`Bearer ${key}`);
    const secret = key.slice(17);
    const rows = await api.database.db.selectFrom('api_keys').selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(secret);
    expect(rows.some(({ secret_hash: hash }) => hash.includes(secret))).toBe(false);
    expect(JSON.stringify(api.logged())).not.toContain(secret);
  });
});

describe('403', () => {
  const readers: [string, string][] = [
    ['/v1/gifts', 'sender'],
    ['/v1/funding-accounts', 'sender or admin'],
    ['/v1/ledger/invariants', 'auditor'],
    ['/v1/dead-letters', 'operator'],
    ['/v1/queues', 'operator'],
  ];

  test.each(readers)('GET %s names the role %s that it needs', async (path, roles) => {
    const merchant = await api.sender({ roles: ['merchant'] });
    const answer = await request(api.app)
      .get(path)
      .set(...merchant.auth);
    expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    expect(answer.body.detail).toBe(`this needs a key with the role ${roles}`);
  });

  test('a scope narrows what a role allows', async () => {
    const reader = await api.sender({ roles: ['sender'], scopes: ['gifts:read'] });
    expect((await list(`Bearer ${reader.key}`)).status).toBe(200);
    const answer = await postGift(api, reader);
    expect([answer.status, answer.body.detail]).toEqual([403, 'this needs a key with the scope gifts:write']);
  });
});
