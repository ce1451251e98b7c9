import type { Message } from './messages.ts';

/** How a message becomes a row of the outbox. The edge knows envelope, queue and trace; the domain knows the message. */
export type OutboxWriter = {
  /** how long the writing process has to publish its rows before the others may, in seconds */
  leaseSeconds: number;
  row: (
    message: Message,
    /** groupId: whose turn it is in a fair queue (the sender) */
    options: { groupId: string | null; requestId: string | null },
  ) => { queue: string; body: string; group_id: string | null; trace_header: string | null };
};
