import { listDeadLetterRows } from '../../database/queries/list-dead-letters.ts';
import type { Verdict } from '../../database/states.ts';
import { fromUuid, toUuid } from '../../domain/ids.ts';
import {
  listParkedOutboxRows,
  type ParkedMessage,
  releaseParkedOutboxRows,
} from '../../domain/parked-outbox.ts';
import { command } from '../command.ts';
import { flag, id, listLimit, oneOf, optional, shortText, wholeNumber } from '../options.ts';
import { UsageError } from '../refusals.ts';
import { table, timeOrNull } from '../table.ts';

const verdicts: readonly Verdict[] = ['redrive', 'quarantine', 'discard', 'wait'];
const row = wholeNumber(1, Number.MAX_SAFE_INTEGER, 'of an outbox row');

export const messageCommands = [
  command({
    name: 'list-parked',
    summary: 'messages that their queue would not take, and that wait for a person',
    options: {
      reason: optional(shortText('only those parked for this very reason')),
      limit: listLimit,
      after: optional({ ...row, help: 'the last row of the page before' }),
    },
    run: async ({ withDatabase }, { reason, limit, after }) => {
      const selection = reason === undefined ? {} : { reason };
      const from = after === undefined ? {} : { afterId: String(after) };
      const found = await withDatabase((db) =>
        listParkedOutboxRows(db, { ...selection, ...from, limit: limit + 1 }),
      );
      const rows = found.slice(0, limit);
      const next = (found.length > limit && rows.at(-1)?.id) || null;
      return { json: { parked: rows.map(toJson), next }, text: parkedTable(rows, next) };
    },
  }),
  command({
    name: 'release-parked',
    summary: 'have parked messages sent again; one that is refused again is parked again',
    options: {
      id: optional(row),
      reason: optional(shortText('all that were parked for this very reason')),
      all: flag('all of them'),
    },
    run: async ({ withDatabase }, { id: one, reason, all }) => {
      if ([one !== undefined, reason !== undefined, all].filter(Boolean).length !== 1) {
        throw new UsageError('say which: --id, --reason or --all');
      }
      const ids = one === undefined ? {} : { ids: [String(one)] };
      const selection = { ...ids, ...(reason === undefined ? {} : { reason }) };
      const rows = await withDatabase((db) => releaseParkedOutboxRows(db, selection));
      if (one !== undefined && rows.length === 0)
        throw new UsageError(`there is no parked message in row ${one}`);
      return { json: { released: rows.map(toJson) }, text: `released: ${rows.length}` };
    },
  }),
  command({
    name: 'list-dead-letters',
    summary: 'what the reconciler saw in dead-letter queues and decided, newest first',
    options: {
      verdict: optional(oneOf(verdicts, 'only these')),
      limit: listLimit,
      after: optional(id('ddl', 'the last one of the page before')),
    },
    run: async ({ withDatabase }, { verdict, limit, after }) => {
      const page = { limit, after: after === undefined ? null : toUuid(after), before: null };
      const found = await withDatabase((db) => listDeadLetterRows(db, { verdict: verdict ?? null }, page));
      const letters = found.rows.map((letter) => ({
        id: fromUuid('ddl', letter.id),
        queue: letter.queue,
        message_key: letter.message_key,
        gift_id: letter.gift_id === null ? null : fromUuid('gft', letter.gift_id),
        class: letter.class,
        reason: letter.reason,
        verdict: letter.verdict,
        rule: letter.rule,
        last_seen_at: letter.last_seen_at.toISOString(),
        applied_at: timeOrNull(letter.applied_at),
      }));
      const next = (found.next && letters.at(-1)?.id) || null;
      const rows = letters.map((one) => [
        one.id,
        one.verdict,
        one.rule,
        one.class,
        one.reason,
        one.last_seen_at,
        one.message_key,
      ]);
      return {
        json: { dead_letters: letters, next },
        text: table(['ID', 'VERDICT', 'RULE', 'CLASS', 'REASON', 'LAST SEEN', 'MESSAGE'], rows, next),
      };
    },
  }),
];

function toJson({ createdAt, ...rest }: ParkedMessage) {
  return { ...rest, created_at: createdAt.toISOString() };
}

function parkedTable(rows: readonly ParkedMessage[], next: string | null): string {
  const cells = rows.map((one) => [one.id, one.queue, one.reason, one.subject, one.createdAt.toISOString()]);
  return table(['ROW', 'QUEUE', 'REASON', 'SUBJECT', 'CREATED'], cells, next);
}
