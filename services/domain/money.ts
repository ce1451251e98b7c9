/** Integer minor units (cents) and an ISO 4217 code: `{amount: 2500, currency: 'EUR'}` is 25 euros. */
export type Money = { amount: number; currency: string };

/** One gift may be worth at most this many minor units: sums over ten million gifts stay exact integers. */
export const maxAmountMinor = 100_000_000;

const knownCurrencies = new Set(Intl.supportedValuesOf('currency'));

export function isCurrency(code: string): boolean {
  return knownCurrencies.has(code);
}

/** "€25.00" for people to read; the amount is never parsed back from it. */
export function formatMoney(money: Money, locale = 'en'): string {
  const format = formatterOf(locale, money.currency);
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(money.amount / 10 ** digits);
}

/** Kept, because making one costs as much as the rest of a mail. */
const formatters = new Map<string, Intl.NumberFormat>();

function formatterOf(locale: string, currency: string): Intl.NumberFormat {
  const key = `${locale} ${currency}`;
  const known = formatters.get(key) ?? new Intl.NumberFormat(locale, { style: 'currency', currency });
  formatters.set(key, known);
  return known;
}
