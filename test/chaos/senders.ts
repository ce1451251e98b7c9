import { setTimeout as wait } from 'node:timers/promises';
import type { Dice } from './dice.ts';
import { type Answer, insist } from './insisting-client.ts';
import type { ChaosSystem, Sender } from './system.ts';

/** One gift that somebody wants to give, and everything that they were told about it. */
export type Giving = {
  sender: Sender;
  key: string;
  amountMinor: number;
  answers: Answer[];
};

export type Senders = {
  givings: Giving[];
  /** what each sender's funding account was filled with */
  funded: Map<Sender, number>;
  /** resolves when everything has been asked for, whatever has been answered by then */
  asked: Promise<void>;
  /** resolves when everybody has a final answer to everything */
  done: Promise<void>;
};

const plentyMinor = 50_000_000;
/** enough for a third of what the poor sender wants to give */
const poorShare = 3;

/** Gives `gifts` gifts at a steady rate, and cancels some, resends some, and asks for some twice at once. */
export async function startSenders(
  system: ChaosSystem,
  dice: Dice,
  { gifts, perSecond }: { gifts: number; perSecond: number },
): Promise<Senders> {
  const rich = await Promise.all(['ada', 'bob', 'cyd', 'dan'].map((name) => system.sender(name)));
  const poor = await system.sender('poor');
  const funded = new Map<Sender, number>(rich.map((sender) => [sender, plentyMinor]));
  const poorMinor = Math.ceil((gifts / (rich.length + 1) / poorShare) * 1_000);
  funded.set(poor, poorMinor);
  for (const [sender, amount] of funded) await topUp(system, dice, { sender, amount, key: 'first' });
  const givings: Giving[] = [];
  const allAsked = Promise.withResolvers<void>();
  return { givings, funded, asked: allAsked.promise, done: give() };

  async function give(): Promise<void> {
    const under: Promise<void>[] = [];
    const began = performance.now();
    for (let index = 0; index < gifts; index += 1) {
      const dueMs = began + (index * 1_000) / perSecond;
      await wait(Math.max(0, dueMs - performance.now()));
      under.push(giveOne(index, dice.split()));
      if (index === Math.floor(gifts / 2)) under.push(fill(dice.split()));
    }
    allAsked.resolve();
    await Promise.all(under);
  }

  async function fill(own: Dice): Promise<void> {
    await topUp(system, own, { sender: poor, amount: poorMinor, key: 'second' });
    funded.set(poor, 2 * poorMinor);
  }

  async function giveOne(index: number, own: Dice): Promise<void> {
    const sender = own.chance(20) ? poor : own.oneOf(rich);
    const amountMinor = own.between(500, 1_500);
    const giving: Giving = { sender, key: `gift-${index}`, amountMinor, answers: [] };
    givings.push(giving);
    const asking = {
      path: '/v1/gifts',
      key: giving.key,
      bearer: sender.key,
      body: {
        value: { amount: amountMinor, currency: 'EUR' },
        recipient: { type: 'email', email: `recipient-${index}@example.com` },
        message: `Thank you, number ${index}`,
        // Some senders use an id of their own twice, which is refused for the second gift.
        ...(own.chance(10) ? { external_id: `order-${Math.floor(index / 20)}` } : {}),
      },
    };
    const twice = own.chance(10) ? [own.split(), own.split()] : [own.split()];
    const told = await Promise.all(twice.map((dice) => insist(system, dice, asking)));
    giving.answers.push(...told.flat());
    const accepted = giving.answers.find(({ status }) => status === 202);
    if (accepted) await thinkAgain(own, giving, String(accepted.body['id']));
  }

  async function thinkAgain(own: Dice, { sender, key }: Giving, giftId: string): Promise<void> {
    const verb = own.chance(4) ? 'cancel' : own.chance(4) ? 'resend' : undefined;
    if (verb === undefined) return;
    await wait(own.between(0, 3_000));
    const path = `/v1/gifts/${giftId}/${verb}`;
    await insist(system, own, { path, key: `${key}-${verb}`, bearer: sender.key, body: {} });
  }
}

async function topUp(
  system: ChaosSystem,
  dice: Dice,
  { sender, amount, key }: { sender: Sender; amount: number; key: string },
): Promise<void> {
  const body = { sender_id: sender.id, type: 'manual', value: { amount, currency: 'EUR' } };
  const answers = await insist(system, dice, { path: '/v1/topups', key, bearer: sender.key, body });
  const last = answers.at(-1);
  if (!last || last.status >= 300) throw new Error(`top-up: ${JSON.stringify(last)}`);
}
