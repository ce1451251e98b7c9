// Runs in a pod: gifts through the Service, as fast as they are answered, until SIGTERM. Then prints what became of them, as JSON, and ends.
import { setTimeout as pause } from 'node:timers/promises';

const { API_URL, API_KEY, CLIENTS, NAME, INSISTS } = process.env;
const result = { accepted: 0, repeated: 0, failures: [] };
let isStopped = false;
process.once('SIGTERM', () => {
  isStopped = true;
});

/** @returns null when it was accepted, else what went wrong, and whether the same may be asked again */
async function send(id) {
  try {
    const response = await fetch(`${API_URL}/v1/gifts`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${API_KEY}`,
        'content-type': 'application/json',
        'idempotency-key': id,
      },
      body: JSON.stringify({
        value: { amount: 1, currency: 'EUR' },
        recipient: { type: 'email', email: `${id}@example.com` },
      }),
    });
    const text = await response.text();
    if (response.status === 202) return null;
    return { what: `${response.status} ${text}`, mayRepeat: response.status >= 500 };
  } catch (error) {
    return { what: `${error.message}: ${error.cause?.code ?? error.cause}`, mayRepeat: true };
  }
}

async function client(name) {
  for (let count = 0; !isStopped; count += 1) {
    const id = `${name}-${count}`;
    let problem = await send(id);
    // As a sender does who must know: the same key, until there is an answer.
    while (INSISTS && problem?.mayRepeat) {
      result.repeated += 1;
      await pause(100);
      problem = await send(id);
    }
    if (problem === null) result.accepted += 1;
    else result.failures.push(problem.what);
    // The pace of a busy office, not of a benchmark.
    await pause(100);
  }
}

await Promise.all(Array.from({ length: Number(CLIENTS) }, (_, index) => client(`${NAME}-${index}`)));
process.stdout.write(`${JSON.stringify(result)}\n`);
