import { expect } from '@jest/globals';
import { claimToken } from '../../../services/domain/gifts/claim-token.ts';
import type { GiftId } from '../../../services/domain/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { type ApiProcess, postJson, type System } from './system.ts';

/** What the recipient does. @returns the voucher's code, which the answer shows once */
export async function claim(system: System, api: ApiProcess, id: GiftId): Promise<string> {
  const token = claimToken(system.keyring, id, 1);
  const page = await getText(api, `/claim/${token}`);
  expect(page.status).toBe(200);
  const { status, text } = await postJson(api, null, '/v1/claims', { token });
  expect(status).toBe(201);
  return (JSON.parse(text) as { voucher: { code: string } }).voucher.code;
}

/** The same through the page, as a browser sends its form; and by somebody else once more, who gets a page that refuses. */
export async function claimByForm(
  system: System,
  api: ApiProcess,
  id: GiftId,
): Promise<{ code: string; refusalPage: string }> {
  const token = claimToken(system.keyring, id, 1);
  const send = async () => {
    const answer = await fetch(`${api.url}/v1/claims`, {
      method: 'POST',
      headers: { accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ token, idempotency_key: crypto.randomUUID() }).toString(),
    });
    expect(answer.headers.get('content-type')).toContain('text/html');
    return { status: answer.status, text: await answer.text() };
  };
  const page = await send();
  expect(page.status).toBe(200);
  const [, code] = /<p class="code"[^>]*>([^<]+)</.exec(page.text) ?? [];
  if (code === undefined) throw new Error('the page after the claim shows no code');
  const refused = await send();
  expect(refused.status).toBe(409);
  return { code, refusalPage: refused.text };
}

export async function resend({ sender }: System, api: ApiProcess, id: GiftId): Promise<string> {
  const { status, text } = await postJson(api, sender, `/v1/gifts/${id}/resend`, {});
  expect(status).toBe(202);
  return text;
}

export async function cancel({ sender }: System, api: ApiProcess, id: GiftId): Promise<string> {
  const { status, text } = await postJson(api, sender, `/v1/gifts/${id}/cancel`, {});
  expect(status).toBe(200);
  expect(JSON.parse(text)).toMatchObject({ id, state: 'cancelled' });
  return text;
}

/** Waits until these mails, known by a part of their subjects, have come to an address, oldest first. */
export async function expectMails({ mail }: System, email: string, subjects: string[]): Promise<void> {
  await eventually(
    () => {
      const received = mail.mails().filter(({ to }) => to.includes(email));
      expect(received.map(({ subject }) => subject)).toEqual(
        subjects.map((part) => expect.stringContaining(part)),
      );
    },
    { timeoutMs: 20_000 },
  );
}

export async function getText(
  api: ApiProcess,
  path: string,
  key?: string,
): Promise<{ status: number; text: string }> {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const answer = await fetch(`${api.url}${path}`, { headers });
  return { status: answer.status, text: await answer.text() };
}
