import type { SmtpReply } from './smtp-refusals.ts';

/** What a mail server answered, out of nodemailer's error; null when it said nothing that refuses. */
export function readReply(error: unknown): SmtpReply | null {
  const fields = (typeof error === 'object' && error ? error : {}) as Record<string, unknown>;
  const { code, command, responseCode, response } = fields;
  if (typeof responseCode !== 'number' || responseCode < 400 || responseCode > 599) return null;
  const text = typeof response === 'string' ? response : '';
  return {
    phase: phaseOf(typeof command === 'string' ? command : '', typeof code === 'string' ? code : ''),
    status: responseCode,
    enhanced: enhancedOf(text, responseCode),
    words: wordsOf(text),
  };
}

/** Without a command the code tells: nodemailer gives EENVELOPE to what is said of sender and recipients. */
function phaseOf(command: string, code: string): SmtpReply['phase'] {
  if (code === 'EAUTH' || command.startsWith('AUTH')) return 'login';
  switch (command) {
    case 'STARTTLS':
      return 'tls';
    case 'MAIL FROM':
      return 'sender';
    case 'RCPT TO':
      return 'recipient';
    case 'DATA':
      return code === 'EMESSAGE' ? 'content' : 'data';
    case '':
      return code === 'EENVELOPE' ? 'recipient' : 'content';
    default:
      return 'session';
  }
}

/** A code whose class is not the status's own contradicts it: then neither is believed, and the words have to tell. */
function enhancedOf(text: string, status: number): SmtpReply['enhanced'] {
  const found = /(?:^|\n)\d{3}[ -]#?\(?#?([245])\.(\d{1,3})\.(\d{1,3})\b/.exec(text);
  if (!found || Number(found[1]) !== Math.floor(status / 100)) return null;
  return { subject: Number(found[2]), detail: Number(found[3]) };
}

/** Longest text that is looked at: a server may say up to a megabyte. */
const longestText = 2_000;

/** Addresses, links and line numbers out: what a recipient is called must not decide whose the failure is. */
function wordsOf(text: string): string {
  return text
    .slice(0, longestText)
    .toLowerCase()
    .replaceAll('\u2019', "'")
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/"[^"]*"@\S+/g, ' ')
    .replaceAll(/[^\s"'(),:;]*@[^\s"'(),;]+/g, ' ')
    .replaceAll(/\bhttps?:\S+/g, ' ')
    .replaceAll(/(^|\n)\d{3}[ -](\d\.\d{1,3}\.\d{1,3}\b)?/g, ' ')
    .replaceAll(/does not exist|does n't exist/g, "doesn't exist")
    .replaceAll(/\s+/g, ' ')
    .trim();
}
