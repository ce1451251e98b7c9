// Runs in a pod: gifts through the Service, as fast as they are answered, until SIGTERM. Then prints what failed, as JSON, and ends.
import { setTimeout as pause } from 'node:timers/promises';

const { API_URL, API_KEY, CLIENTS } = process.env;
const result = { accepted: 0, failures: [] };
let isStopped = false;
process.once('SIGTERM', () => {
  isStopped = true;
});

async function client(name) {
  for (let count = 0; !isStopped; count += 1) {
    const id = `${name}-${count}`;
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
      if (response.status === 202) result.accepted += 1;
      else result.failures.push(`${response.status} ${text}`);
    } catch (error) {
      result.failures.push(`${error.message}: ${error.cause?.code ?? error.cause}`);
    }
    // The pace of a busy office, not of a benchmark.
    await pause(100);
  }
}

await Promise.all(Array.from({ length: Number(CLIENTS) }, (_, index) => client(`load-${index}`)));
process.stdout.write(`${JSON.stringify(result)}\n`);
