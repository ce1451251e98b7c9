import { encodeWord } from 'nodemailer/lib/mime-funcs';

/**
 * A subject that is read as it was written: mail programs decode `=?utf-8?B?…?=` wherever it stands, so a name with such a
 * text in it would be shown as another. nodemailer lets it through, taking it for encoded already; what holds the marks is
 * encoded whole, marks included.
 */
export function readAsWritten(subject: string): string {
  return subject.includes('=?') ? encodeWord(subject, 'B', 52) : subject;
}
