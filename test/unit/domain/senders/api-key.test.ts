import { expect, test } from '@jest/globals';
import { looksLikeApiKey, mintApiKey } from '../../../../services/domain/senders/api-key.ts';

test('a minted key carries its prefix and 256 random bits, and no two are alike', () => {
  const minted = Array.from({ length: 200 }, () => mintApiKey());
  for (const { key, prefix } of minted) {
    expect(key).toMatch(/^lgk_[0-9a-hjkmnp-tv-z]{12}_[\w-]{43}$/);
    expect(key.slice(4, 16)).toBe(prefix);
    expect(looksLikeApiKey(key)).toBe(true);
  }
  expect(new Set(minted.map(({ key }) => key)).size).toBe(200);
});

test.each([
  '',
  'lgk_',
  'lgk_abcdefghjkmn_short',
  `xgk_abcdefghjkmn_${'a'.repeat(43)}`,
  `lgk_abcdefghjkmn_${'a'.repeat(129)}`,
])('%j can be no key', (text) => {
  expect(looksLikeApiKey(text)).toBe(false);
});
