import type { FailureClass, GiftState, Verdict } from '../database/states.ts';
import type { Message } from '../domain/messages.ts';

/** What is done about dead letters of one queue: a DeadLetterPolicy with its durations in seconds. */
export type Policy = {
  name: string;
  /** version of the spec in a cluster; a file has none */
  generation: number | null;
  /** the queue whose dead letters these are, by its role: `gifts` */
  queue: 'gifts';
  suspend: boolean;
  dryRun: boolean;
  limits: {
    /** dead letters looked at in one run, at most */
    maxMessages: number;
    /** messages redriven per second, within 10 % over any 10 s */
    ratePerSecond: number;
    /** a message that was redriven this often is quarantined instead */
    maxRedrives: number;
    /** dead for less than this, a message is never quarantined */
    quarantineMinAgeSeconds: number;
  };
  circuitBreaker: {
    windowSeconds: number;
    /** share (0-1) of the messages redriven within the window that died again; above it the circuit opens */
    maxFailureRatio: number;
    /** with fewer redrives than this within the window, the share says nothing */
    minSamples: number;
  };
  /** when it trips, nothing is quarantined any more until a person says so */
  quarantineBreaker: {
    windowSeconds: number;
    /** share (0-1) of the gifts that ended within the window which died; above it the breaker trips */
    maxRatio: number;
    /** with fewer dead than this, the share says nothing */
    minSamples: number;
    /** dead within the window, whatever their share; null: no such limit */
    maxCount: number | null;
  };
  /** first match wins; what no rule matches waits */
  rules: PolicyRule[];
};

export type PolicyRule = { name: string; match: RuleMatch; verdict: Verdict };

/** Every criterion that is given has to hold; one that is left out holds for every message. */
export type RuleMatch = {
  classes?: FailureClass[] | undefined;
  giftStates?: GiftState[] | undefined;
  types?: Message['type'][] | undefined;
  /** codes such as `mail_unreachable`, as recorded when the message died */
  reasons?: string[] | undefined;
  minAgeSeconds?: number | undefined;
  maxAgeSeconds?: number | undefined;
  minRedrives?: number | undefined;
  maxRedrives?: number | undefined;
};

/** What rules look at. */
export type LetterFacts = {
  class: FailureClass;
  /** the gift's state now; null when the message names no gift that exists */
  giftState: GiftState | null;
  type: Message['type'] | null;
  reason: string;
  /** since it was first sent */
  ageSeconds: number;
  /** how often we redrove it */
  redrives: number;
};

/** The first rule that matches, or null: then the message waits. Pure. */
export function matchRule(rules: readonly PolicyRule[], facts: LetterFacts): PolicyRule | null {
  return rules.find((rule) => criteria.every((holds) => holds(rule.match, facts))) ?? null;
}

type Criterion = (match: RuleMatch, facts: LetterFacts) => boolean;

const criteria: Criterion[] = [
  ({ classes }, facts) => classes === undefined || classes.includes(facts.class),
  ({ giftStates }, { giftState }) =>
    giftStates === undefined || (giftState !== null && giftStates.includes(giftState)),
  ({ types }, { type }) => types === undefined || (type !== null && types.includes(type)),
  ({ reasons }, { reason }) => reasons === undefined || reasons.includes(reason),
  ({ minAgeSeconds = 0 }, { ageSeconds }) => ageSeconds >= minAgeSeconds,
  ({ maxAgeSeconds = Number.POSITIVE_INFINITY }, { ageSeconds }) => ageSeconds <= maxAgeSeconds,
  ({ minRedrives = 0 }, { redrives }) => redrives >= minRedrives,
  ({ maxRedrives = Number.POSITIVE_INFINITY }, { redrives }) => redrives <= maxRedrives,
];
