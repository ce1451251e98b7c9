import { code as iso4217 } from 'currency-codes';

/** Integer minor units (cents) and an ISO 4217 code: `{amount: 2500, currency: 'EUR'}` is 25 euros. */
export type Money = { amount: number; currency: string };

/** One gift may be worth at most this many minor units: sums over ten million gifts stay exact integers. */
export const maxAmountMinor = 100_000_000;

/** Money that somebody can spend: neither metals nor the codes for tests and for no currency at all. */
export function isCurrency(text: string): boolean {
  const found = iso4217(text);
  return found?.code === text && !found.countries.some((country) => country.startsWith('Zz'));
}

/** "€25.00" for people to read; the amount is never parsed back from it. */
export function formatMoney(money: Money, locale = 'en'): string {
  return formatterOf(locale, money.currency).format(money.amount / 10 ** minorDigits(money.currency));
}

/** Kept, because making one costs as much as the rest of a mail. */
const formatters = new Map<string, Intl.NumberFormat>();

function formatterOf(locale: string, currency: string): Intl.NumberFormat {
  const key = `${locale} ${currency}`;
  const digits = minorDigits(currency);
  const known =
    formatters.get(key) ??
    new Intl.NumberFormat(locale, {
      style: 'currency',
      currency,
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
  formatters.set(key, known);
  return known;
}

/** By ISO 4217. Intl follows habit instead: it gives the forint no decimals, and amounts would read a hundredfold. */
function minorDigits(currency: string): number {
  return iso4217(currency)?.digits ?? 2;
}
