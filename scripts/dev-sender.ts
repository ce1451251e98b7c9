/**
 * `npm run dev-sender -- NAMESPACE`: a sender with 10,000 euros and a key in the Secret largesse-test, made once for a database, and what can be
 * done with them. skaffold runs it after it has deployed; `helm test largesse` uses the key.
 */
import { createSender, knowsKey } from './cluster/create-sender.ts';
import { kubectl, orSay } from './cluster/kubectl.ts';
import { secret } from './cluster/secrets.ts';
import { NAMESPACE } from './skaffold/configuration.ts';

const SECRET = 'largesse-test';

const [namespace = NAMESPACE] = process.argv.slice(2);
const within = async (...args: string[]) => kubectl(['--namespace', namespace, ...args]);

await orSay(async () => {
  const show = ['get', 'secret', SECRET, '--ignore-not-found', '--output', 'jsonpath={.data.apiKey}'];
  const kept = Buffer.from(await within(...show), 'base64').toString();
  tell(kept && (await knowsKey(within, kept)) ? kept : await makeKey());
});

async function makeKey(): Promise<string> {
  const made = await createSender(within, 'Developer', 1_000_000);
  const list = JSON.stringify(secret(SECRET, { apiKey: made.key }));
  kubectl(['--namespace', namespace, 'apply', '--server-side', '--force-conflicts', '--filename', '-'], list);
  return made.key;
}

function tell(key: string): void {
  console.log(`
  API             http://localhost:8080/v1   (reference: http://localhost:8080/docs)
  Mail catcher    http://localhost:1080
  Your key        ${key}

  curl -sS -X POST http://localhost:8080/v1/gifts -H "Authorization: Bearer ${key}" \\
    -H 'Content-Type: application/json' -H "Idempotency-Key: $(date +%s%N)" \\
    -d '{"value": {"amount": 2500, "currency": "EUR"}, "recipient": {"type": "email", "email": "ada@example.com"}}'
`);
}
