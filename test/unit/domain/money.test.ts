import { expect, test } from '@jest/globals';
import { currencies, currencyListDate, minorDigits } from '../../../services/domain/currencies.ts';
import { formatMoney } from '../../../services/domain/money.ts';

test.each([
  [{ amount: 2500, currency: 'EUR' }, '€25.00'],
  [{ amount: 2500, currency: 'JPY' }, '¥2,500'],
  [{ amount: 12345, currency: 'KWD' }, 'KWD 12.345'],
  [{ amount: 250000, currency: 'HUF' }, 'HUF 2,500.00'],
  [{ amount: 2500, currency: 'IQD' }, 'IQD 2.500'],
])('money is shown with the minor units of its currency: %j', (money, shown) => {
  expect(formatMoney(money).replaceAll('\u00a0', ' ')).toBe(shown);
});

test.each([
  [{ amount: 10_000_000, currency: 'INR' }, '₹1,00,000.00'],
  [{ amount: 10_000_000, currency: 'NPR' }, 'NPR 1,00,000.00'],
  [{ amount: 10_000_000, currency: 'USD' }, '$100,000.00'],
])('money is grouped as those who pay in its currency read it: %j', (money, shown) => {
  expect(formatMoney(money).replaceAll('\u00a0', ' ')).toBe(shown);
});

test('new gifts have the currencies of one dated ISO 4217 list', () => {
  expect(currencyListDate).toMatch(/^\d{4}-\d\d-\d\d$/);
  const current = 'EUR USD JPY HUF INR XOF XAF XPF XCD XCG SLE VED ZWG MRU STN BYN KWD'.split(' ');
  expect(current.filter((code) => !currencies.includes(code))).toEqual([]);
  expect(new Set(currencies).size).toBe(currencies.length);
});

test('withdrawn codes, funds, units of account, metals and tests are no currencies of new gifts', () => {
  const out =
    'BGN ANG CUC HRK SLL ZWL BYR MRO STD VEF LTL DEM XXX XTS XAU XAG XPT XPD XBA XBB XBC XBD XDR XSU XUA XAD CLF BOV USN USS UYI UYW CHE CHW COU MXV EUX eur ZZZ'.split(
      ' ',
    );
  expect(out.filter((code) => currencies.includes(code))).toEqual([]);
});

test.each([
  [{ amount: 2_500, currency: 'BGN' }, 'BGN 25.00'],
  [{ amount: 2_500, currency: 'ANG' }, 'ANG 25.00'],
  [{ amount: 25_000, currency: 'CLF' }, 'CLF 2.5000'],
])('an amount stored before its code left the list is shown as ever: %j', (money, shown) => {
  expect(formatMoney(money).replaceAll('\u00a0', ' ')).toBe(shown);
  expect(minorDigits(money.currency)).toBeGreaterThan(1);
});
