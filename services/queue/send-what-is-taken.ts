import { blamesExtras, type Extra, extras, type SendAbilities } from './send-abilities.ts';

interface Carrier {
  readonly groupId?: string;
  readonly traceHeader?: string;
}

type Result = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** Left out of what was refused for what it carries: in this order, until the queue takes it. */
const reductions: readonly (readonly Extra[])[] = [
  ['message_group_ids'],
  ['trace_headers'],
  ['message_group_ids', 'trace_headers'],
];

/**
 * Sends messages with as much as their queue is known to take, and those that it refuses for what they carry once more
 * without: fair shares and traces are worth having, and no gift may wait for them.
 */
export async function sendWhatIsTaken<M extends Carrier, R extends Result>(
  abilities: SendAbilities,
  queueUrl: string,
  messages: readonly M[],
  send: (messages: readonly M[]) => Promise<R[]>,
): Promise<R[]> {
  const lacking = abilities.lacking(queueUrl);
  const tried = messages.map((message) => leaveOut(message, lacking));
  const results = await send(tried);
  learnTaken(abilities, queueUrl, tried, results);
  for (const reduction of reductions) {
    const indexes = [...tried.keys()].filter(
      (index) =>
        reduction.every((extra) => carries(tried[index], extra)) &&
        isRefusedForExtras(abilities, queueUrl, tried[index], results[index]),
    );
    if (indexes.length === 0) continue;
    const reduced = indexes.map((index) => leaveOut(tried[index] as M, reduction));
    const again = await send(reduced);
    learnTaken(abilities, queueUrl, reduced, again);
    // Said of all or of none: a queue that takes this of one message takes it of each.
    if (again.some(({ ok }) => ok)) for (const extra of reduction) abilities.learn(queueUrl, extra, false);
    for (const [position, index] of indexes.entries())
      results[index] = again[position] ?? (results[index] as R);
  }
  return results;
}

function learnTaken(
  abilities: SendAbilities,
  queueUrl: string,
  messages: readonly Carrier[],
  results: readonly Result[],
): void {
  for (const extra of extras) {
    const taken = messages.some((message, index) => carries(message, extra) && results[index]?.ok === true);
    if (taken) abilities.learn(queueUrl, extra, true);
  }
}

function isRefusedForExtras(
  abilities: SendAbilities,
  queueUrl: string,
  message: Carrier | undefined,
  result: Result | undefined,
): boolean {
  if (result === undefined || result.ok) return false;
  const known = abilities.read(queueUrl);
  const confirmed = extras.every((extra) => !carries(message, extra) || known[extra] === true);
  return blamesExtras(result.reason, { confirmed });
}

function carries(message: Carrier | undefined, extra: Extra): boolean {
  return (extra === 'message_group_ids' ? message?.groupId : message?.traceHeader) !== undefined;
}

function leaveOut<M extends Carrier>(message: M, without: readonly Extra[]): M {
  const left: { -readonly [K in keyof M]: M[K] } = { ...message };
  if (without.includes('message_group_ids')) delete left.groupId;
  if (without.includes('trace_headers')) delete left.traceHeader;
  return left;
}
