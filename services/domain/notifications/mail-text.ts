/** What a mail says. No field holds a line break that could become a header; bodies hold only what the template put there. */
export type MailText = { subject: string; text: string; html: string };

/** Text as HTML shows it, in content and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"'`]/g, (symbol) => `&#${symbol.charCodeAt(0)};`);
}

/**
 * A name or subject on one line: line breaks would add headers, and characters that turn the writing direction would let a
 * name rewrite the sentence around it.
 */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
    .replaceAll(/ {2,}/g, ' ')
    .trim();
}

/** A personal message keeps its line breaks and loses every other control character. */
export function severalLines(text: string): string[] {
  return text.split(/\r\n|[\n\r\u2028\u2029]/).map(oneLine);
}

/** "1 January 2027": a date alone, in UTC, because nobody reads a time of day into a deadline that is weeks away. */
export function formatDate(date: Date, locale = 'en-GB'): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeZone: 'UTC' }).format(date);
}
