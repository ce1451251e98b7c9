import type { FailureClass, GiftState, Verdict } from '../database/states.ts';
import type { DeadLetter } from './dead-letter.ts';

/** A dead letter with all that a verdict on it takes. */
export type SeenLetter = DeadLetter & {
  /** uuid of the gift that it is about; null when there is none in the database */
  giftId: string | null;
  /**
   * The gift's state as far as this message goes: a resend or reminder that was not sent yet counts as `delivering`,
   * although its gift is `delivered`.
   */
  giftState: GiftState | null;
  /** of the gift's last attempt that failed, with its code; null when none has, or its letter is a resend's */
  failureClass: FailureClass | null;
  failureCode: string | null;
  /** a worker is on it at this moment */
  leased: boolean;
  deadLetteredAt: Date | null;
  /** since it died, by the database's clock: as its gift says, else since a run saw it first */
  deadForSeconds: number;
  ageSeconds: number;
  /** until the queue drops it; null where the queue does not say how long it keeps messages */
  expiresInSeconds: number | null;
  /** runs that redrove an earlier copy of it, as far as it can be blamed for its death: probes of a circuit do not count */
  redrives: number;
  /** runs that redrove an earlier copy and do not count */
  pardoned: number;
  lastRedriveAt: Date | null;
  /** an earlier run has seen that it died after its last redrive */
  deathSeen: boolean;
  /** what an earlier run recorded of this very message (not of its copies) */
  earlier: { verdict: Verdict; rule: string | null; applied: boolean } | null;
};

/** What shall happen to it, by which rule and why. */
export type Judgement = {
  letter: SeenLetter;
  verdict: Verdict;
  /** name of a rule of the policy, or of a built-in one; null when no rule matched */
  rule: string | null;
  why: string;
  /** an earlier run did everything but the delete */
  deleteOnly: boolean;
  /** it is close to the end of its retention: its body is kept */
  archive: boolean;
};
