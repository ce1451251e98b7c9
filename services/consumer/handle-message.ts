import { databaseFault, mayBlameRow } from '../database/errors.ts';
import { classifyFailure } from '../domain/failure-classes.ts';
import { type Message, type NotUnderstood, readMessage } from '../domain/messages.ts';
import { extendContext, withContext } from '../observability/context.ts';
import { fullJitterMs } from '../queue/backoff.ts';
import { decodeEnvelope, type ReceivedEnvelope } from '../queue/envelope.ts';
import type { Handler, HandlerContext, QueueMessage } from '../queue/message.ts';
import type { Claims } from './claims.ts';
import type { DeliverDeps } from './deliver.ts';
import type { Handled } from './handled.ts';
import { deliverGift } from './handlers/deliver-gift.ts';
import { sendDelivery } from './handlers/send-delivery.ts';

export type HandleDeps = DeliverDeps & {
  claims: Claims;
  /** told of every message once, with all that is known about it */
  report: (message: QueueMessage, handled: Handled, durationMs: number) => void;
};

/** The handler of the gifts queue: decode, do what the message asks for, report. */
export function createHandler(deps: HandleDeps): Handler {
  return (message, context) =>
    withContext({ message_id: message.messageId, receive_count: message.receiveCount }, async () => {
      const startedAt = performance.now();
      const handled = await handle(deps, message, context);
      deps.report(message, handled, performance.now() - startedAt);
      return handled.outcome;
    });
}

/** Synchronous up to the claim, so that the messages of one receive meet in one batch. */
function handle(deps: HandleDeps, received: QueueMessage, context: HandlerContext): Promise<Handled> {
  const decoded = decode(received, deps.retry.random);
  if (decoded.kind === 'handled') return Promise.resolve(decoded.handled);
  return dispatch(deps, decoded.message, received, context).catch((error: unknown) =>
    leaveInQueue(deps, received, error),
  );
}

async function dispatch(
  deps: HandleDeps,
  message: Message,
  received: QueueMessage,
  context: HandlerContext,
): Promise<Handled> {
  // A shutdown came between receive and handler: untouched, it costs no attempt.
  if (context.signal.aborted) {
    return { result: 'interrupted', outcome: { kind: 'retry', delaySeconds: 0, reason: 'shutdown' } };
  }
  const permit = deps.breaker.admit();
  if (permit === null) return paused(deps);
  try {
    switch (message.type) {
      case 'gift.deliver':
        return await deliverGift(deps, message, received, context, permit);
      case 'delivery.send':
        return await sendDelivery(deps, message, received, context, permit);
    }
  } catch (error) {
    if (concernsEveryClaim(error)) {
      const by = mayBlameRow(error) ? message.id : error;
      permit.claimed({ failure: classifyFailure(error), by });
    }
    throw error;
  } finally {
    // Of what was never mailed nothing is to be told.
    permit.end();
  }
}

/** Not where somebody else was in the way (`busy`), or a row may be to blame. */
function concernsEveryClaim(error: unknown): boolean {
  return ['session', 'away'].includes(databaseFault(error));
}

/** Received before the pause began: it is given back untouched, to come again at about the time of the next probe. */
function paused({ breaker, retry }: HandleDeps): Handled {
  const waitMs = (breaker.pausedForMs ?? 0) + retry.random() * 2_000;
  const delaySeconds = Math.max(1, Math.ceil(waitMs / 1_000));
  return { result: 'paused', outcome: { kind: 'retry', delaySeconds, reason: 'paused' } };
}

type Decoded = { kind: 'message'; message: Message } | { kind: 'handled'; handled: Handled };

function decode({ body, receiveCount }: QueueMessage, random: () => number): Decoded {
  let envelope: ReceivedEnvelope;
  try {
    envelope = decodeEnvelope(body);
  } catch {
    return { kind: 'handled', handled: poison('envelope_unreadable') };
  }
  if (envelope.request_id !== undefined) extendContext({ request_id: envelope.request_id });
  const read = readMessage(envelope);
  if (read.kind === 'message') return read;
  const handled =
    read.kind === 'invalid' ? poison('message_unknown') : leaveToOthers(read.code, receiveCount, random);
  return { kind: 'handled', handled };
}

/** Why in detail is for whoever looks at the body in the dead-letter queue: quoted here, it could put anything into the log. */
function poison(code: string): Handled {
  const outcome = { kind: 'dead-letter', class: 'poison', reason: code } as const;
  return { result: 'poison', class: 'poison', code, outcome };
}

/** At first others may be there already; later they are still to come. */
const firstWaitSeconds = 5;
const longestWaitSeconds = 900;

/**
 * A newer release is at work beside this one. Its message goes back for whoever knows it: for 5 s, 10, 20 … 15 min at most,
 * of which half is jitter. With the 20 receives that a queue allows by default these are one and a half to three hours,
 * until SQS moves it to the dead-letter queue, where it waits on.
 */
function leaveToOthers(code: NotUnderstood, receiveCount: number, random: () => number): Handled {
  const doublings = Math.min(Math.max(receiveCount - 1, 0), 20);
  const ceiling = Math.min(longestWaitSeconds, firstWaitSeconds * 2 ** doublings);
  const delaySeconds = Math.ceil(ceiling / 2 + (random() * ceiling) / 2);
  return {
    result: 'not_understood',
    class: 'unknown',
    code,
    outcome: { kind: 'retry', delaySeconds, reason: code },
  };
}

/** Nothing was claimed, so there is no attempt to count: SQS's own counter spaces the retries of a database that is away. */
function leaveInQueue(deps: HandleDeps, received: QueueMessage, error: unknown): Handled {
  const { class: failureClass, code } = classifyFailure(error);
  const { baseMs, capMs, random } = deps.retry;
  const delayMs = fullJitterMs({ attempt: received.receiveCount, baseMs, capMs, random });
  return {
    result: 'unclaimed',
    class: failureClass,
    code,
    error,
    outcome: { kind: 'retry', delaySeconds: Math.max(1, Math.ceil(delayMs / 1_000)), reason: code },
  };
}
