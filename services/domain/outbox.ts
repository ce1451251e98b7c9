import type { Message } from './messages.ts';

/** How a message becomes a row of the outbox. */
export type OutboxWriter = {
  /** how long the writing process has to publish its rows before the others may, in seconds */
  leaseSeconds: number;
  row: (message: Message, options: OutboxRowOptions) => OutboxRowDraft;
};

export type OutboxRowOptions = {
  /** whose turn it is in a fair queue: the sender */
  groupId: string | null;
  requestId: string | null;
};

export type OutboxRowDraft = {
  queue: string;
  body: string;
  group_id: string | null;
  trace_header: string | null;
};

export type OutboxWriterOptions = {
  /** the queue's name */
  queue: string;
  /** 0 for a process that publishes nothing itself: any relay may take its rows at once */
  leaseSeconds: number;
  clock: () => Date;
  /** envelope and trace are the queue's business */
  compose: (
    message: Message,
    origin: { occurredAt: Date; requestId: string | null },
  ) => { body: string; traceHeader: string | null };
};

export function createOutboxWriter({
  queue,
  leaseSeconds,
  clock,
  compose,
}: OutboxWriterOptions): OutboxWriter {
  return {
    leaseSeconds,
    row: (message, { groupId, requestId }) => {
      const { body, traceHeader } = compose(message, { occurredAt: clock(), requestId });
      return { queue, body, group_id: groupId, trace_header: traceHeader };
    },
  };
}
