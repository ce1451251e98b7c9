// `helm test`: one gift through the API, and what became of it. Ends with 0 when it was delivered.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

const { API_URL, API_KEY, RECIPIENT, VALUE, TIMEOUT_SECONDS } = process.env;
const until = Date.now() + Number(TIMEOUT_SECONDS) * 1_000;

async function ask(path, init = {}) {
  const headers = { authorization: `Bearer ${API_KEY}`, ...init.headers };
  const response = await fetch(`${API_URL}${path}`, { ...init, headers });
  const body = await response.json();
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${body.detail ?? body.title}`);
  return body;
}

// A Service that was made a moment ago may refuse for a second: the same key makes a repeated request one gift.
async function send(key) {
  try {
    return await ask('/v1/gifts', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ value: JSON.parse(VALUE), recipient: { type: 'email', email: RECIPIENT } }),
    });
  } catch (error) {
    if (error.message !== 'fetch failed' || Date.now() > until) throw error;
    await pause(1_000);
    return send(key);
  }
}

const say = (line) => process.stdout.write(`${line}\n`);

let gift = await send(`helm-test-${randomUUID()}`);
say(`${gift.id} is accepted`);
while (gift.state !== 'delivered' && !gift.failure && Date.now() < until) {
  await pause(1_000);
  gift = await ask(`/v1/gifts/${gift.id}`);
}
say(`${gift.id} is ${gift.state}${gift.failure ? `: ${JSON.stringify(gift.failure)}` : ''}`);
process.exitCode = gift.state === 'delivered' ? 0 : 1;
