import { setTimeout as wait } from 'node:timers/promises';
import type { BatchResultErrorEntry } from '@aws-sdk/client-sqs';
import { fullJitterMs } from './backoff.ts';

/** What became of one entry. `retryable` is false only when the fault is proven to be the entry's own. */
export type EntryResult<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly code: string; readonly retryable: boolean; readonly cause?: unknown };

/** Which code of an entry is proven to be its own fault; every other may pass, or be mended, while the entry waits. */
export type IsOwnFault = (code: string) => boolean;

export interface BatchEntry<Item> {
  readonly id: string;
  readonly item: Item;
}

export interface BatchAnswer<Out> {
  readonly Successful?: readonly (Out & { Id?: string | undefined })[] | undefined;
  readonly Failed?: readonly BatchResultErrorEntry[] | undefined;
}

export type BatchCall<Item, Out> = (
  entries: readonly BatchEntry<Item>[],
  signal: AbortSignal,
) => Promise<BatchAnswer<Out>>;

export interface BatchCallOptions {
  /** Calls per entry at most, the first included; default 4. */
  readonly attempts?: number;
  /** A call is given up after this time, the SDK's own retries included: a hung socket holds nobody. Default 5 s. */
  readonly callTimeoutMs?: number;
  /** Calls under way at once; default 8. */
  readonly concurrency?: number;
  /** Uniform in [0, 1); spreads the pauses between attempts. */
  readonly random?: () => number;
  /** Default: what SQS says of receipt handles that are none any more. */
  readonly isOwnFault?: IsOwnFault;
}

export const maxBatchEntries = 10;

/**
 * Runs batches of at most ten and answers one result per item, in order. Never rejects.
 * HTTP 200 with `Failed[]` is retried entry by entry, 0-100 ms, 0-200 ms, 0-400 ms apart; a call that rejects has been
 * retried by the SDK already, and fails each of its entries. One entry that SQS rejects together with its neighbours is
 * told apart by sending each alone.
 */
export async function callInBatches<Item, Out>(
  batches: readonly (readonly Item[])[],
  call: BatchCall<Item, Out>,
  options: BatchCallOptions = {},
): Promise<EntryResult<Out>[]> {
  const results = await mapConcurrently(batches, options.concurrency ?? 8, (batch) =>
    callBatch(batch, call, options),
  );
  return results.flat();
}

export function batchesOfTen<Item>(items: readonly Item[]): Item[][] {
  const batches: Item[][] = [];
  for (let start = 0; start < items.length; start += maxBatchEntries) {
    batches.push(items.slice(start, start + maxBatchEntries));
  }
  return batches;
}

/** Keeps the order of the results; at most `limit` run at once. */
export async function mapConcurrently<In, Out>(
  items: readonly In[],
  limit: number,
  work: (item: In) => Promise<Out>,
): Promise<Out[]> {
  const results = new Array<Out>(items.length);
  const remaining = items.entries();
  const worker = async () => {
    for (const [index, item] of remaining) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

async function callBatch<Item, Out>(
  items: readonly Item[],
  call: BatchCall<Item, Out>,
  options: BatchCallOptions,
): Promise<EntryResult<Out>[]> {
  const { attempts = 4, random = Math.random } = options;
  const results: EntryResult<Out>[] = items.map(() => unconfirmed);
  let pending = items.map((item, index) => ({ id: String(index), item }));
  for (let attempt = 1; pending.length > 0; attempt += 1) {
    const outcome = await callOnce(pending, call, options);
    for (const [id, { result }] of outcome) results[Number(id)] = result;
    pending = pending.filter(({ id }) => isWorthRepeating(outcome.get(id)));
    if (attempt >= attempts) break;
    if (pending.length > 0) await wait(fullJitterMs({ attempt, baseMs: 50, capMs: 1_000, random }));
  }
  return results;
}

/** `refused`: SQS has seen this very entry and calls it the sender's fault, so that asking again at once is in vain. */
type Answered<Out> = { readonly result: EntryResult<Out>; readonly refused: boolean };

async function callOnce<Item, Out>(
  entries: readonly BatchEntry<Item>[],
  call: BatchCall<Item, Out>,
  options: BatchCallOptions,
): Promise<Map<string, Answered<Out>>> {
  const { isOwnFault = isHandleFault } = options;
  const signal = AbortSignal.timeout(options.callTimeoutMs ?? 5_000);
  try {
    return resultsOf(await call(entries, signal), isOwnFault);
  } catch (error) {
    if (!oneMayBeToBlame(error) || entries.length === 1) {
      const code = signal.aborted ? 'TimeoutError' : errorName(error);
      const retryable = entries.length > 1 || !isOwnFault(code);
      const result = { ok: false, code, retryable, cause: error } as const;
      return new Map(entries.map(({ id }) => [id, { result, refused: true }]));
    }
    const alone = await mapConcurrently(entries, 2, (entry) => callOnce([entry], call, options));
    return new Map(alone.flatMap((result) => [...result]));
  }
}

function resultsOf<Out>(answer: BatchAnswer<Out>, isOwnFault: IsOwnFault): Map<string, Answered<Out>> {
  const results = new Map<string, Answered<Out>>();
  for (const entry of answer.Successful ?? []) {
    results.set(entry.Id ?? '', { result: { ok: true, value: entry }, refused: false });
  }
  for (const { Id = '', Code: code = 'UnknownError', SenderFault: refused = false } of answer.Failed ?? []) {
    results.set(Id, { result: { ok: false, code, retryable: !isOwnFault(code) }, refused });
  }
  return results;
}

/** In neither list of the answer: nothing is known of it, so nothing is claimed. */
const unconfirmed = { ok: false, code: 'Unconfirmed', retryable: true } as const;

/** A rejected call was retried by the SDK; only what an answer itself calls failed, or leaves out, is repeated here. */
function isWorthRepeating(answered: Answered<unknown> | undefined): boolean {
  if (answered === undefined) return true;
  return !answered.result.ok && answered.result.retryable && !answered.refused;
}

/** InvalidParameterValue is how SQS words "the receipt handle has expired". */
const isHandleFault: IsOwnFault = (code) =>
  /ReceiptHandleIsInvalid|MessageNotInflight|InvalidParameterValue|InvalidIdFormat/.test(code);

/** Errors of a whole call that one entry can cause, so that its nine neighbours must not share its fate. */
const contentFaults =
  /BatchRequestTooLong|InvalidMessageContents|InvalidParameterValue|InvalidAttributeValue|MessageTooLong|ReceiptHandleIsInvalid/;

function oneMayBeToBlame(error: unknown): boolean {
  return contentFaults.test(errorName(error));
}

/** What went wrong on the way has its word in `code` (ECONNREFUSED, CERT_HAS_EXPIRED): its name is `Error`, like all others'. */
function errorName(error: unknown): string {
  if (!(error instanceof Error)) return 'UnknownError';
  const { name, code } = error as NodeJS.ErrnoException;
  return /^(Aggregate)?Error$/.test(name) && typeof code === 'string' ? code : name;
}
