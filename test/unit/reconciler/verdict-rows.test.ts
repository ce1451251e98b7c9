import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { toVerdictRow } from '../../../services/reconciler/verdict-rows.ts';
import { letter, message } from './letters.ts';

const foreignText = fc.string({
  unit: fc.constantFrom('x', '\u0000', '\uD83D', '\uDE00', '😀'),
  minLength: 990,
  maxLength: 1_010,
});

describe('verdict rows', () => {
  test('whatever a foreign message says, and wherever its reason is cut, PostgreSQL takes it', () => {
    fc.assert(
      fc.property(foreignText, (text) => {
        const row = toVerdictRow({
          letter: letter({ reason: text, message: message(text, { groupId: text, traceHeader: text }) }),
          verdict: 'quarantine',
          rule: null,
          why: '',
          deleteOnly: false,
          archive: false,
        });
        expect(row.reason.length).toBeLessThanOrEqual(1_000);
        const { group_id: group, trace_header: trace } = row.attributes ?? {};
        for (const stored of [row.reason, row.body ?? '', String(group), String(trace)]) {
          expect(stored.isWellFormed()).toBe(true);
          expect(stored).not.toContain('\u0000');
        }
      }),
    );
  });
});
