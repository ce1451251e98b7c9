import type { Kysely } from 'kysely';
import { findLetterSubjects, type LetterSubjectRow } from '../database/queries/reconciler-gifts.ts';
import { findLetterHistory, type LetterHistoryRow } from '../database/queries/reconciler-history.ts';
import type { Database } from '../database/schema.ts';
import { toUuid } from '../domain/ids.ts';
import type { Message } from '../domain/messages.ts';
import type { DeadLetters } from '../queue/dead-letters.ts';
import type { QueueMessage } from '../queue/message.ts';
import { type DeadLetter, readDeadLetter } from './dead-letter.ts';
import { pageSize } from './pages.ts';
import type { SeenLetter } from './seen-letter.ts';

export type GatherOptions = {
  /** the queue by its role, and how long it keeps a message */
  queue: { name: string; retentionSeconds: number | null };
  maxMessages: number;
  /** stops the scan before the bodies that it holds fill the memory of a small pod */
  maxBytes?: number;
  /** the poll that makes sure of the end; SQS needs one that waits */
  waitTimeSeconds?: number;
  signal: AbortSignal;
  now: Date;
};

const standardMaxBytes = 64 * 1_024 * 1_024;

/**
 * Reads the queue to its end, or to a limit, with everything that verdicts on its messages take: two statements for
 * each 500 of them, while the next are being received. `complete` is false when there may be more.
 */
export async function gather(
  db: Kysely<Database>,
  letters: DeadLetters,
  options: GatherOptions,
): Promise<{ seen: SeenLetter[]; complete: boolean }> {
  const { maxMessages, maxBytes = standardMaxBytes, waitTimeSeconds = 1, signal } = options;
  const lookUps: Promise<SeenLetter[]>[] = [];
  let unknown: QueueMessage[] = [];
  const lookUp = () => {
    const found = findFacts(db, unknown, options);
    // Met below, when the scan is over; until then it must not count as unhandled.
    found.catch(() => undefined);
    lookUps.push(found);
    unknown = [];
  };
  let count = 0;
  let bytes = 0;
  for await (const page of letters.scan({ maxMessages, waitTimeSeconds, signal })) {
    unknown.push(...page);
    if (unknown.length >= pageSize) lookUp();
    count += page.length;
    bytes += page.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
    if (bytes >= maxBytes) break;
  }
  lookUp();
  const seen = (await Promise.all(lookUps)).flat();
  return { seen, complete: count < maxMessages && bytes < maxBytes && !signal.aborted };
}

async function findFacts(
  db: Kysely<Database>,
  messages: readonly QueueMessage[],
  { queue, now }: GatherOptions,
): Promise<SeenLetter[]> {
  const letters = messages.map(readDeadLetter);
  const keys = letters.map(({ message, key }) => ({ message_id: message.messageId, message_key: key }));
  const [subjectRows, historyRows] = await Promise.all([
    findSubjects(db, letters),
    findLetterHistory(db, queue.name, keys),
  ]);
  const subjects = new Map(subjectRows.map((row) => [row.subject_id, row]));
  const history = new Map(historyRows.map((row) => [row.message_id, row]));
  return letters.map((letter) => {
    const subject = letter.content === null ? undefined : subjects.get(toUuid(letter.content.id));
    const past = history.get(letter.message.messageId);
    const death = deathFacts(subject, past, now);
    return {
      ...letter,
      ...giftFacts(subject),
      ...pastFacts(past),
      ...timeFacts(letter, death, { queue, now }),
      ...death,
    };
  });
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
    failureClass: subject?.failure_class ?? null,
    failureCode: subject?.failure_code ?? null,
    leased: subject?.leased ?? false,
    deadLetteredAt: subject?.dead_lettered_at ?? null,
  };
}

function pastFacts(past: LetterHistoryRow | undefined) {
  return {
    redrives: past?.redrives ?? 0,
    pardoned: past?.pardoned ?? 0,
    lastRedriveAt: past?.last_redrive_at ?? null,
    deathSeen: past?.death_seen ?? false,
    earlier: past?.verdict ? { verdict: past.verdict, rule: past.rule, applied: past.applied } : null,
  };
}

/** By what the database stamped alone: the time that SQS tells is that of another clock. */
function deathFacts(subject: LetterSubjectRow | undefined, past: LetterHistoryRow | undefined, now: Date) {
  const diedAt = subject?.dead_lettered_at ?? past?.first_seen_at ?? now;
  return { deadForSeconds: Math.max(0, (now.getTime() - diedAt.getTime()) / 1_000) };
}

/**
 * By when it was sent; by its death at least, where the server does not tell the first, or by a clock that is ahead: rules that
 * wait for an age would wait for ever.
 */
function timeFacts(
  { message }: DeadLetter,
  { deadForSeconds }: { deadForSeconds: number },
  { queue, now }: Pick<GatherOptions, 'queue' | 'now'>,
) {
  const ageSeconds = Math.max(deadForSeconds, (now.getTime() - message.sentAt.getTime()) / 1_000);
  const expiresInSeconds = queue.retentionSeconds === null ? null : queue.retentionSeconds - ageSeconds;
  return { ageSeconds, expiresInSeconds };
}
