import type { Kysely } from 'kysely';
import { findLetterSubjects, type LetterSubjectRow } from '../database/queries/reconciler-gifts.ts';
import { findLetterHistory, type LetterHistoryRow } from '../database/queries/reconciler-history.ts';
import type { Database } from '../database/schema.ts';
import { toUuid } from '../domain/ids.ts';
import type { Message } from '../domain/messages.ts';
import type { DeadLetters } from '../queue/dead-letters.ts';
import type { QueueMessage } from '../queue/message.ts';
import { type DeadLetter, readDeadLetter } from './dead-letter.ts';
import { pageSize, pagesOf } from './pages.ts';
import type { SeenLetter } from './seen-letter.ts';

export type ScanLimits = {
  maxMessages: number;
  /** stops the scan before the bodies that it holds fill the memory of a small pod */
  maxBytes?: number;
  /** the poll that makes sure of the end; SQS needs one that waits */
  waitTimeSeconds?: number;
  signal: AbortSignal;
};

const standardMaxBytes = 64 * 1_024 * 1_024;

/** Reads the queue to its end, or to a limit. `complete` is false when there may be more. */
export async function scanLetters(
  letters: DeadLetters,
  limits: ScanLimits,
): Promise<{ messages: QueueMessage[]; complete: boolean }> {
  const { maxMessages, maxBytes = standardMaxBytes, waitTimeSeconds = 1, signal } = limits;
  const messages: QueueMessage[] = [];
  let bytes = 0;
  for await (const page of letters.scan({ maxMessages, waitTimeSeconds, signal })) {
    messages.push(...page);
    bytes += page.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
    if (bytes >= maxBytes) return { messages, complete: false };
  }
  return { messages, complete: messages.length < maxMessages && !signal.aborted };
}

/** Everything that verdicts on these messages take: two statements for each 500 of them. */
export async function gatherFacts(
  db: Kysely<Database>,
  messages: readonly QueueMessage[],
  queue: { name: string; retentionSeconds: number | null },
  now: Date,
): Promise<SeenLetter[]> {
  const seen: SeenLetter[] = [];
  for (const page of pagesOf(messages.map(readDeadLetter), pageSize)) {
    const subjects = new Map((await findSubjects(db, page)).map((row) => [row.subject_id, row]));
    const keys = page.map(({ message, key }) => ({ message_id: message.messageId, message_key: key }));
    const rows = await findLetterHistory(db, queue.name, keys);
    const history = new Map(rows.map((row) => [row.message_id, row]));
    for (const letter of page) {
      const subject = letter.content === null ? undefined : subjects.get(toUuid(letter.content.id));
      const past = history.get(letter.message.messageId);
      seen.push({ ...letter, ...giftFacts(subject), ...pastFacts(past), ...timeFacts(letter, queue, now) });
    }
  }
  return seen;
}

function findSubjects(db: Kysely<Database>, letters: readonly DeadLetter[]): Promise<LetterSubjectRow[]> {
  const idsOf = (type: Message['type']) =>
    letters.flatMap(({ content }) => (content?.type === type ? [toUuid(content.id)] : []));
  return findLetterSubjects(db, idsOf('gift.deliver'), idsOf('delivery.send'));
}

function giftFacts(subject: LetterSubjectRow | undefined) {
  return {
    giftId: subject?.gift_id ?? null,
    giftState: subject?.state ?? null,
    failureCode: subject?.failure_code ?? null,
    leased: subject?.leased ?? false,
    deadLetteredAt: subject?.dead_lettered_at ?? null,
  };
}

function pastFacts(past: LetterHistoryRow | undefined) {
  return {
    redrives: past?.redrives ?? 0,
    lastRedriveAt: past?.last_redrive_at ?? null,
    deathSeen: past?.death_seen ?? false,
    earlier: past?.verdict ? { verdict: past.verdict, rule: past.rule, applied: past.applied } : null,
  };
}

function timeFacts({ message }: DeadLetter, queue: { retentionSeconds: number | null }, now: Date) {
  const ageSeconds = Math.max(0, (now.getTime() - message.sentAt.getTime()) / 1_000);
  const expiresInSeconds = queue.retentionSeconds === null ? null : queue.retentionSeconds - ageSeconds;
  return { ageSeconds, expiresInSeconds };
}
