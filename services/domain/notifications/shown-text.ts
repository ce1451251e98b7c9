/**
 * A name or subject on one line: line breaks would add headers, and characters that turn the writing direction would let a
 * name rewrite the sentence around it.
 */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/\p{Bidi_Control}/gu, '')
    .replaceAll(/ {2,}/g, ' ')
    .trim();
}

/** A sender's name as mails and pages show it. */
export function shownName(name: string): string {
  return oneLine(name) || 'Somebody';
}

/** A personal message keeps its line breaks and loses every other control character. */
export function severalLines(text: string): string[] {
  return text.split(/\r\n|[\n\r\u2028\u2029]/).map(oneLine);
}

/** "31 January 2027, 23:59 UTC": with its time, because a date alone promises or denies a whole day. */
export function formatDeadline(deadline: Date): string {
  return `${day.format(deadline)}, ${timeOfDay.format(deadline)} UTC`;
}

const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' });
const timeOfDay = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short', timeZone: 'UTC' });
