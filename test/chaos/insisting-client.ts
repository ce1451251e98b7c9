import { setTimeout as wait } from 'node:timers/promises';
import type { Dice } from './dice.ts';
import type { ChaosSystem } from './system.ts';

/** What a server answered: its status, the parsed body, and whether it said that it had answered before. */
export type Answer = { status: number; body: Record<string, unknown>; replayed: boolean };

export type Asking = {
  path: string;
  key: string;
  /** of the API; left out for what the public may do */
  bearer?: string;
  body: unknown;
};

/** How often a request is repeated that was refused for want of money: somebody may be about to pay in. */
const hopeful = 3;

/**
 * Asks until there is an answer that is final, with the same key, now at one process and now at the other: what an integrator
 * is told to do. In some tries it loses patience first and goes away, and asks again a moment later. Without money it gives
 * up after a while, and counts on having given nothing.
 *
 * @returns every answer that came, the final one last
 */
export async function insist(system: ChaosSystem, dice: Dice, asking: Asking): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (;;) {
    const answer = await ask(system, dice, asking);
    if (answer !== undefined) answers.push(answer);
    if (answer !== undefined && isFinal(answer)) return answers;
    if (answers.filter(({ status }) => status === 402).length > hopeful) return answers;
    await wait(dice.between(50, 800));
  }
}

/** Whether repeating the same request can change nothing. */
function isFinal({ status, body }: Answer): boolean {
  return status < 300 || (status < 500 && body['retryable'] === false);
}

async function ask(system: ChaosSystem, dice: Dice, asking: Asking): Promise<Answer | undefined> {
  const url = system.apiUrl(dice.between(0, 1));
  if (url === undefined) return undefined;
  const patienceMs = dice.chance(10) ? dice.between(5, 300) : 20_000;
  try {
    const response = await fetch(`${url}${asking.path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': asking.key,
        ...(asking.bearer === undefined ? {} : { authorization: `Bearer ${asking.bearer}` }),
      },
      body: JSON.stringify(asking.body),
      signal: AbortSignal.timeout(patienceMs),
    });
    const body = (await response.json()) as Record<string, unknown>;
    return { status: response.status, body, replayed: response.headers.has('idempotency-replayed') };
  } catch {
    // Refused, reset, cut in the middle or out of patience: whether it happened is not known, and so the same is asked again.
    return undefined;
  }
}
