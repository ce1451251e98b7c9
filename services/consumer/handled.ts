import type { FailureClass, FailureOwner } from '../database/states.ts';
import type { Outcome } from '../queue/message.ts';
import type { Verdict } from './verdict.ts';

/** What became of one message: what the queue is told, and what the log line and the metrics say. Ids and codes only. */
export type Handled = {
  outcome: Outcome;
  result: HandledResult;
  gift_id?: string;
  delivery_id?: string;
  purpose?: string;
  /** its number, as in the gift's timeline */
  attempt?: number;
  /** attempts since the start or the last redrive: what the limit is compared with */
  attempts_counted?: number;
  /** of a gift that was delivered, or counts as that: since it was due */
  waited_seconds?: number;
  class?: FailureClass;
  owner?: FailureOwner;
  code?: string;
  reason?: string;
  mail_code?: string;
  /** logged with its causes; never an error of a mail server, whose words quote the recipient */
  error?: unknown;
};

export type HandledResult =
  | Verdict['result']
  /** nothing to do: a repeat of what is settled */
  | 'repeat'
  | 'leased'
  | 'not_due'
  /** consumption is paused; nothing was taken up */
  | 'paused'
  | 'missing'
  | 'poison'
  /** of another release: left for those who know its type and version */
  | 'not_understood'
  /** another worker took over meanwhile */
  | 'overtaken'
  /** the outcome could not be recorded; the message stays */
  | 'unsettled'
  /** the message could not even be claimed; the message stays */
  | 'unclaimed';
