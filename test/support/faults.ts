import { setTimeout as wait } from 'node:timers/promises';
import { DUPLICATE_MARK, type Exchange, type Json } from './fault-exchange.ts';

/** Does something to one exchange. `'pass-on'` leaves the answer to the next rule, or to upstream. */
export type Fault = (exchange: Exchange) => FaultResult | Promise<FaultResult>;
type FaultResult = 'pass-on' | undefined;

export interface BatchEntry extends Json {
  Id: string;
}

/** Answers later; what else was injected still happens. */
export function latency(delayMs: number): Fault {
  return async (): Promise<FaultResult> => {
    await wait(delayMs);
    return 'pass-on';
  };
}

/** The request reaches upstream and takes effect; the answer is lost with the connection. */
export function loseResponse(): Fault {
  return async (exchange) => {
    await exchange.forward();
    exchange.reset();
  };
}

/** The connection is cut before upstream hears of the request. For a refused connect see `goDown()`. */
export function refuse(): Fault {
  return (exchange) => {
    exchange.reset();
    return undefined;
  };
}

/** Takes the request and never answers, nor closes. `reachesUpstream` lets it take effect nevertheless. */
export function hang({ reachesUpstream = false }: { reachesUpstream?: boolean } = {}): Fault {
  return async (exchange) => {
    if (reachesUpstream) await exchange.forward();
    return undefined;
  };
}

/** Answers an SQS error. */
export function httpError(
  status = 503,
  { code = 'ServiceUnavailable', headers = {} }: { code?: string; headers?: Record<string, string> } = {},
): Fault {
  return (exchange) => {
    const body = { __type: `com.amazonaws.sqs#${code}`, message: `injected ${code}` };
    exchange.respond(status, body, headers);
    return undefined;
  };
}

/** Answers a page, as emulators do for an operation that they do not know. */
export function htmlError(status: number): Fault {
  return (exchange) => {
    const text = '<!doctype html>\n<html lang=en><title>Internal Server Error</title>';
    exchange.send({ status, headers: { 'content-type': 'text/html; charset=utf-8' }, text });
    return undefined;
  };
}

/** Answers this body without asking upstream. */
export function respondWith(body: Json | ((request: Json) => Json), status = 200): Fault {
  return (exchange) => {
    exchange.respond(status, typeof body === 'function' ? body(exchange.body()) : body);
    return undefined;
  };
}

/** Lets the request happen and changes the parsed answer. */
export function rewriteResponse(change: (answer: Json, request: Json) => Json): Fault {
  return async (exchange) => {
    const answer = await exchange.forward();
    exchange.send(answer, change(JSON.parse(answer.text || '{}') as Json, exchange.body()));
    return undefined;
  };
}

/**
 * HTTP 200 with `Failed[]` for the chosen entries of a batch; the others really happen.
 * `tookEffect`: the chosen ones happen as well and are reported as failed all the same.
 */
export function failEntries(
  chosen: (entry: BatchEntry, index: number) => boolean,
  { code = 'InternalError', senderFault = false, tookEffect = false } = {},
): Fault {
  return async (exchange) => {
    const entries = exchange.body()['Entries'] as BatchEntry[];
    const failing = entries.filter((entry, index) => chosen(entry, index));
    const failingIds = new Set(failing.map((entry) => entry.Id));
    const failed = failing.map(({ Id }) => ({
      Id,
      SenderFault: senderFault,
      Code: code,
      Message: `injected ${code}`,
    }));
    const passing = tookEffect ? entries : entries.filter((entry) => !failingIds.has(entry.Id));
    if (passing.length === 0) {
      exchange.respond(200, { Successful: [], Failed: failed });
      return undefined;
    }
    const answer = await exchange.forward({ ...exchange.body(), Entries: passing });
    const result = JSON.parse(answer.text) as { Successful?: BatchEntry[]; Failed?: BatchEntry[] };
    exchange.send(answer, {
      Successful: (result.Successful ?? []).filter((entry) => !failingIds.has(entry.Id)),
      Failed: [...(result.Failed ?? []), ...failed],
    });
    return undefined;
  };
}

/**
 * Inject for `ReceiveMessage`. Each message is delivered `copies` times more, under receipt handles of their own:
 * within the same answer (`at: 'once'`: handled concurrently), or alone in the next receive of that queue
 * (`at: 'next-receive'`: even when the message was deleted meanwhile).
 */
export function duplicate({
  copies = 1,
  at = 'once',
}: {
  copies?: number;
  at?: 'once' | 'next-receive';
} = {}): Fault {
  const owed = new Map<unknown, Json[]>();
  return async (exchange) => {
    const queueUrl = exchange.body()['QueueUrl'];
    const waiting = owed.get(queueUrl) ?? [];
    if (waiting.length > 0) {
      exchange.respond(200, {
        Messages: waiting.splice(0, Number(exchange.body()['MaxNumberOfMessages'] ?? 1)),
      });
      return undefined;
    }
    const answer = await exchange.forward();
    const messages = (JSON.parse(answer.text) as { Messages?: Json[] }).Messages ?? [];
    const extra = messages.flatMap((message) =>
      Array.from({ length: copies }, (_, index) => ({
        ...message,
        ReceiptHandle: `${message['ReceiptHandle']}${DUPLICATE_MARK}${index + 1}`,
      })),
    );
    if (at === 'next-receive') owed.set(queueUrl, extra);
    exchange.send(answer, { Messages: at === 'once' ? [...messages, ...extra] : messages });
    return undefined;
  };
}

/** Inject for `GetQueueAttributes`: these values instead of the true ones, such as `{ApproximateNumberOfMessages: '1'}`. */
export function staleCounts(attributes: Record<string, string>): Fault {
  return rewriteResponse((answer) => ({
    ...answer,
    Attributes: { ...(answer['Attributes'] as Json | undefined), ...attributes },
  }));
}
