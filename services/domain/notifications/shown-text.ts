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

/** A sender's name as mails and pages show it. One that shows nothing would leave a hole in the sentence. */
export function shownName(name: string): string {
  const shown = oneLine(name);
  return isBlank(shown) ? 'Somebody' : shown;
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

/**
 * As a class of a regular expression that JavaScript and Python read alike: the invisible as much as the white, and marks that
 * are set on what stands before them, which would be the sentence around a name.
 */
export const blankCharacters =
  '\\u0300-\\u036f\\u0483-\\u0489\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f\u{13430}-\u{13442}\u{13447}-\u{13455}\u{16fe4}' +
  '\\s\\u0000-\\u001f\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f' +
  '\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\u{1bca0}-\u{1bca3}\u{1d159}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}';

const blank = new RegExp(`^[${blankCharacters}]*$`, 'u');

/** Whether a text shows nothing: blanks, controls, zero-width and filler characters (U+200B, U+2800, U+3164, …) and marks alone. */
export function isBlank(text: string): boolean {
  return blank.test(text);
}
