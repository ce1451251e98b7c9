/**
 * What a sixteenth connection costs the fifteen others when all that it asks for is refused: gifts that nobody can pay, in a
 * currency without a funding account, with an `external_id` that is taken, beyond what a gift may have. Beside it one whose gifts are accepted like all others.
 */
import { loadavg } from 'node:os';
import { previousReleaseFolder } from '../support/previous-release.ts';
import { type AcceptingApi, startAcceptingApi, withSurroundings } from './accepting-api.ts';
import {
  addSent,
  type GiftPost,
  giftBody,
  giftPosts,
  perSecond,
  type Sent,
  sendGifts,
} from './send-gifts.ts';

/** What the sixteenth asks for, and how it is answered. */
const neighbours: Record<string, { body: object; status: number; poor?: true }> = {
  'accepted like theirs': { body: giftBody, status: 202 },
  'more than there is': { body: giftBody, status: 402, poor: true },
  'no funding account': { body: { ...giftBody, value: { amount: 2_500, currency: 'USD' } }, status: 422 },
  'external_id taken': { body: { ...giftBody, external_id: 'taken' }, status: 409 },
  'more than a gift may have': {
    body: { ...giftBody, value: { amount: 900_000_000_000, currency: 'EUR' } },
    status: 422,
  },
};

export async function run({ sliceMs = 1_000, rounds = 6 } = {}): Promise<void> {
  const previous = await previousReleaseFolder();
  try {
    await withSurroundings(async (around) => {
      const releases = {
        now: await startAcceptingApi(around, 'now'),
        before: await startAcceptingApi(around, 'before', previous.folder),
      };
      for (const api of Object.values(releases)) await warmUp(api);
      for (const [release, api] of Object.entries(releases)) {
        console.log(`${release}, load ${loadavg()[0]?.toFixed(1)}`);
        console.table(await compare(api, sliceMs, rounds));
      }
    });
  } finally {
    await previous.remove();
  }
}

async function warmUp({ url, senders }: AcceptingApi): Promise<void> {
  await sendGifts(url, 16, giftPosts(senders, performance.now() + 2_000));
  const [taker] = senders;
  if (!taker) throw new Error('no sender');
  const post = { apiKey: taker.key, idempotencyKey: 'takes it', body: { ...giftBody, external_id: 'taken' } };
  await sendGifts(url, 1, [post]);
}

async function compare(api: AcceptingApi, sliceMs: number, rounds: number): Promise<object[]> {
  const kinds = Object.entries(neighbours).map(([kind, asked]) => ({
    kind,
    asked,
    others: { seconds: 0, latenciesMs: [] } as Sent,
    own: { seconds: 0, latenciesMs: [] } as Sent,
  }));
  for (let round = 0; round < rounds; round += 1) {
    for (const { asked, others, own } of kinds) {
      const untilMs = performance.now() + sliceMs;
      const [theirs, its] = await Promise.all([
        sendGifts(api.url, 15, giftPosts(api.senders.slice(1), untilMs)),
        sendGifts(api.url, 1, neighbourPosts(api, asked, untilMs)),
      ]);
      addSent(others, theirs);
      addSent(own, its);
    }
  }
  const [first] = kinds;
  return kinds.map(({ kind, others, own }) => ({
    'the sixteenth asks for': kind,
    'its answers/s': Math.round(perSecond(own)),
    "the others' accepts/s": Math.round(perSecond(others)),
    'of what they had': first ? `${Math.round((perSecond(others) / perSecond(first.others)) * 100)} %` : '',
  }));
}

function* neighbourPosts(
  { senders, poor }: AcceptingApi,
  asked: (typeof neighbours)[string],
  untilMs: number,
): Generator<GiftPost> {
  const sender = asked.poor ? poor : senders[0];
  const { body, status } = asked;
  while (sender && performance.now() < untilMs)
    yield { apiKey: sender.key, idempotencyKey: crypto.randomUUID(), body, status };
}

if (import.meta.main) await run();
