import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fromUuid, idPattern, isId, newId, newUuid, toUuid } from '../../../services/domain/ids.ts';
import { monotonicUuids } from '../../../services/domain/monotonic-uuid.ts';

describe('ids', () => {
  test('are the prefix and 26 characters of lower-case Crockford base32', () => {
    expect(newId('gft')).toMatch(/^gft_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
  });

  test('made later sort later', () => {
    const ids = Array.from({ length: 1_000 }, () => newId('gft'));
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("one clock: they never run backwards, when a pod's clock is set back or forth, stands still, or many are made at once", () => {
    const steps = fc.array(fc.integer({ min: -600_000, max: 600_000 }), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (moves) => {
        let nowMs = Date.UTC(2026, 10, 28, 12);
        const next = monotonicUuids(() => nowMs);
        const ids = [next(), next()];
        for (const move of moves) {
          nowMs += move;
          ids.push(next(), next());
        }
        expect(ids.toSorted()).toEqual(ids);
        expect(new Set(ids).size).toBe(ids.length);
        for (const id of ids)
          expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      }),
    );
  });

  test('begin with the time, and differ between processes of the same millisecond', () => {
    const nowMs = Date.UTC(2026, 10, 28, 12);
    const made = Array.from({ length: 1_000 }, () => monotonicUuids(() => nowMs)());
    expect(new Set(made).size).toBe(1_000);
    for (const id of made) expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(nowMs);
  });

  test('survive the way to the database and back', () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        const id = fromUuid('gft', uuid);
        expect(toUuid(id)).toBe(uuid);
        expect(isId('gft', id)).toBe(true);
      }),
    );
  });

  test('that nobody made are ids as well: whatever has the form of one can be looked for', () => {
    const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(bytes, (made) => {
        const hex = Buffer.from(made).toString('hex');
        const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
        expect(toUuid(fromUuid('gft', uuid))).toBe(uuid);
      }),
    );
    expect(new RegExp(idPattern('gft')).test('gft_60000000000000000000000000')).toBe(true);
    expect(toUuid('gft_60000000000000000000000000')).toBe('c0000000-0000-0000-0000-000000000000');
  });

  test('of another kind, or not of this form, are refused without throwing', () => {
    const id = newId('gft');
    for (const wrong of [
      newId('sen'),
      newUuid(),
      '',
      'gft_',
      `${id}0`,
      id.toUpperCase(),
      `gft_${'z'.repeat(26)}`,
    ]) {
      expect(isId('gft', wrong)).toBe(false);
    }
    fc.assert(fc.property(fc.string(), (text) => expect(isId('gft', `gft_${text}`)).toBe(false)));
  });
});
