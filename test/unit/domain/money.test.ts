import { expect, test } from '@jest/globals';
import { formatMoney, isCurrency } from '../../../services/domain/money.ts';

test.each([
  [{ amount: 2500, currency: 'EUR' }, '€25.00'],
  [{ amount: 2500, currency: 'JPY' }, '¥2,500'],
  [{ amount: 12345, currency: 'KWD' }, 'KWD 12.345'],
  [{ amount: 250000, currency: 'HUF' }, 'HUF 2,500.00'],
  [{ amount: 2500, currency: 'IQD' }, 'IQD 2.500'],
])('money is shown with the minor units of its currency: %j', (money, shown) => {
  expect(formatMoney(money).replaceAll('\u00a0', ' ')).toBe(shown);
});

test('only ISO 4217 codes are currencies', () => {
  expect(['EUR', 'USD', 'JPY', 'HUF', 'XOF'].every(isCurrency)).toBe(true);
  expect(['eur', 'XX', 'EURO', 'ZZZ', 'XXX', 'XAU', 'XTS', ''].some(isCurrency)).toBe(false);
});
