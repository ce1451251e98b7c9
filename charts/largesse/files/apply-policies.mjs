// Makes the policies of the chart, or brings those that it made up to date, after an install or upgrade. Not ordinary objects of the chart:
// Helm refuses an object whose definition comes with the same install, and takes away with the release what is somebody's to keep.
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const account = '/var/run/secrets/kubernetes.io/serviceaccount';
const { POLICIES, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
const namespace = readFileSync(`${account}/namespace`, 'utf8').trim();
const token = readFileSync(`${account}/token`, 'utf8').trim();
const say = (line) => process.stdout.write(`${line}\n`);

// Applied by the server, not by force: a field that somebody changed with kubectl is theirs, and the policy stays as it is.
async function apply(policy) {
  const path = `/apis/largesse.dev/v1alpha1/namespaces/${namespace}/deadletterpolicies/${policy.metadata.name}`;
  const response = await fetch(`${server}${path}?fieldManager=largesse-chart`, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/apply-patch+yaml' },
    body: JSON.stringify(policy),
  });
  const { message } = await response.json();
  return { status: response.status, message };
}

// A definition that was made a moment ago is served a moment later.
const until = Date.now() + 60_000;
for (const policy of JSON.parse(POLICIES)) {
  let answer = await apply(policy);
  while ((answer.status === 404 || answer.status >= 500) && Date.now() < until) {
    await pause(500);
    answer = await apply(policy);
  }
  const { name } = policy.metadata;
  if (answer.status === 409) say(`${name} stays as it was changed: ${answer.message}`);
  else if (answer.status < 300) say(`${name} is as the chart has it`);
  else throw new Error(`${name}: ${answer.status} ${answer.message}`);
}
