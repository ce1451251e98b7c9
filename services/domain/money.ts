import { minorDigits } from './currencies.ts';

/** Integer minor units (cents) and an ISO 4217 code: `{amount: 2500, currency: 'EUR'}` is 25 euros. */
export type Money = { amount: number; currency: string };

/** One gift may be worth at most this many minor units: sums over ten million gifts stay exact integers. */
export const maxAmountMinor = 100_000_000;

/** "€25.00" for people to read; the amount is never parsed back from it. */
export function formatMoney(money: Money, locale = localeOf(money.currency)): string {
  return formatterOf(locale, money.currency).format(money.amount / 10 ** minorDigits(money.currency));
}

/** English, with the digits grouped as those who pay in this currency read them: ₹1,00,000.00. */
function localeOf(currency: string): string {
  return groupedByLakh.has(currency) ? 'en-IN' : 'en';
}

const groupedByLakh = new Set(['INR', 'NPR', 'BDT', 'BTN']);

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
