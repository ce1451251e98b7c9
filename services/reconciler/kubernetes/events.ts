import type { Condition, PolicyStatus } from '../policy-status.ts';

/** What is told about a condition that changed. */
export type EventDraft = {
  type: 'Normal' | 'Warning';
  reason: string;
  note: string;
  about: Condition['type'];
};

/** An Event takes 1,024 bytes; a character takes up to four of them, and one is kept for the sign that more follows. */
const mostCharacters = 250;

/**
 * Events for what changed since the last run, by status or reason: a run each minute that finds the same tells nothing. What
 * is well from the first look on needs no word either, but that the policy is in force. Pure.
 */
export function eventsBetween(before: PolicyStatus | null, after: PolicyStatus): EventDraft[] {
  return after.conditions.filter((condition) => isNews(before, condition)).map(toDraft);
}

function isNews(before: PolicyStatus | null, condition: Condition): boolean {
  // That nothing is known (any more) goes with something that is, such as a suspension.
  if (condition.status === 'Unknown') return false;
  const known = before?.conditions.find(({ type }) => type === condition.type);
  if (known !== undefined) return known.status !== condition.status || known.reason !== condition.reason;
  return condition.type === 'Ready' || condition.status === 'False';
}

function toDraft({ type: about, status, reason, message }: Condition): EventDraft {
  const isTrouble = status === 'False' && reason !== 'Suspended';
  const note = `${about} is ${status}: ${message}`;
  const short = [...note].slice(0, mostCharacters).join('');
  return {
    type: isTrouble ? 'Warning' : 'Normal',
    reason,
    note: short.length < note.length ? `${short}…` : note,
    about,
  };
}
