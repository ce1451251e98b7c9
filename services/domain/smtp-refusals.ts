import type { FailureClass, FailureOwner } from '../database/states.ts';

/**
 * How many other mails would meet the same failure: `all` where the server turns us away whatever the mail, `many` where
 * it names something of ours, `some` where nobody can tell, `one` where it speaks of this recipient.
 */
export type FailureReach = 'one' | 'some' | 'many' | 'all';

/** What a mail server said, taken apart. Its words are looked at here and kept nowhere: they quote addresses. */
export type SmtpReply = {
  /** the step that was answered */
  phase: 'session' | 'tls' | 'login' | 'sender' | 'recipient' | 'data' | 'content';
  /** 400 to 599 */
  status: number;
  /** RFC 3463, of which the first digit is that of the status; null when the server sends none */
  enhanced: { subject: number; detail: number } | null;
  /** lower case, without addresses: `no.quota@example.com` must not read as a word about quotas */
  words: string;
};

export type SmtpRefusal = {
  class: FailureClass;
  owner: FailureOwner;
  reach: FailureReach;
  code: string;
  reason: string;
};

/** Whose a refusal is, from the command, the enhanced status code and the meaning. The first rule that speaks wins. */
export function judgeRefusal(reply: SmtpReply): SmtpRefusal {
  for (const rule of rules) {
    const meaning = rule(reply);
    if (meaning) return toRefusal(reply, meaning);
  }
  return toRefusal(reply, unclear);
}

/** `final`: trying again can't help, where the server says so for good (5xx). */
type Meaning = { owner: FailureOwner; reach: FailureReach; code: string; text: string; final?: boolean };
type Rule = (reply: SmtpReply) => Meaning | null;
type Code = NonNullable<SmtpReply['enhanced']>;

const noMailbox: Meaning = {
  owner: 'item',
  reach: 'one',
  code: 'recipient_refused',
  text: 'the recipient has no mailbox there',
  final: true,
};
const closedToUs: Meaning = { ...noMailbox, text: 'the recipient takes no mail from us' };
const mailboxBusy: Meaning = {
  owner: 'item',
  reach: 'one',
  code: 'mailbox_unavailable',
  text: "the recipient's mailbox takes nothing at the moment",
};
const loginRefused: Meaning = {
  owner: 'us',
  reach: 'all',
  code: 'mail_login_refused',
  text: 'the mail server wants another login, or TLS',
};
const noTls: Meaning = {
  owner: 'peer',
  reach: 'all',
  code: 'mail_tls_refused',
  text: 'the mail server offers no TLS that can be trusted; ?tls=none in SMTP_URL does without',
};
const turnedAway: Meaning = {
  owner: 'us',
  reach: 'all',
  code: 'mail_server_refused',
  text: 'the mail server refused us, whatever the mail',
};
const relayDenied: Meaning = {
  owner: 'us',
  reach: 'many',
  code: 'mail_relay_denied',
  text: 'the mail server does not relay for us',
};
const overQuota: Meaning = {
  owner: 'us',
  reach: 'many',
  code: 'mail_quota_exceeded',
  text: 'we have sent more than the mail server allows us',
};
const tooLarge: Meaning = {
  owner: 'us',
  reach: 'some',
  code: 'mail_too_large',
  text: 'the mail server takes no mails of this size',
};
const distrusted: Meaning = {
  owner: 'us',
  reach: 'many',
  code: 'mail_policy_refused',
  text: 'the mail server refused us by its policy',
};
/** Not the recipient's: the server speaks of the account that we send by. */
const ownAccount: Meaning = { ...turnedAway, reach: 'many', text: 'the mail server has closed our account' };
const ownSender: Meaning = {
  owner: 'us',
  reach: 'many',
  code: 'mail_sender_refused',
  text: 'the mail server refused our sender address',
};
const serverTrouble: Meaning = {
  owner: 'peer',
  reach: 'many',
  code: 'mail_server_failing',
  text: 'the mail server has trouble of its own',
};
const busy: Meaning = { ...serverTrouble, reach: 'all', code: 'mail_server_busy' };
const deferred: Meaning = {
  owner: 'peer',
  reach: 'some',
  code: 'mail_deferred',
  text: 'the mail server asked to try later',
};
const unclear: Meaning = {
  owner: 'unknown',
  reach: 'some',
  code: 'mail_refused',
  text: 'the mail server gave no reason that speaks of this recipient',
};

/** Details of RFC 3463's address subject (x.1.n) that speak of the recipient's. */
const badMailbox = new Set([1, 2, 3, 6, 10]);
/** Details of x.7.n by which Exchange tells that this recipient lets nobody, or not us, send to it. */
const recipientClosed = new Set([124, 129, 133, 134, 135, 136]);
/** Details of x.2.n by which Exchange tells that this recipient is sent more than it may receive. */
const recipientFlooded = new Set([121, 122]);

const rules: Rule[] = [
  // Said at any step, 421 is "not now": a rate limit, a restart. So is what passes at a greeting.
  ({ phase, status }) => (status === 421 || (phase === 'session' && status < 500) ? busy : null),
  ({ phase, status }) =>
    // "Must issue a STARTTLS command first", "Authentication required": said at any step, it is said to us.
    phase === 'login' || status === 530 || status === 535 || status === 538 ? loginRefused : null,
  ({ phase }) => (phase === 'tls' ? noTls : null),
  ({ phase }) => (phase === 'session' ? turnedAway : null),
  // RFC 7504: a host that takes no mail, whoever it is for.
  ({ status }) => (status === 521 ? { ...turnedAway, reach: 'many' } : null),
  (reply) => (reply.phase === 'sender' ? { ...atSender(reply), reach: 'all' } : null),
  ({ enhanced }) => (enhanced?.subject === 7 && recipientClosed.has(enhanced.detail) ? closedToUs : null),
  // Words outrank codes where they are clear: servers send 5.7.1 for nearly everything, and 5.1.1 for some of the rest.
  ({ words }) => (says.relaying.test(words) ? relayDenied : null),
  ({ words }) => (says.sender.test(words) ? ownSender : null),
  ({ enhanced }) => (enhanced && ofTheSender(enhanced) ? ownSender : null),
  ({ words }) => (says.ownAccount.test(words) ? ownAccount : null),
  ({ enhanced }) => (enhanced?.subject === 2 && recipientFlooded.has(enhanced.detail) ? mailboxBusy : null),
  // A server that asks the next one first, and could not: its 5.1.1 is about nothing that anybody has said.
  ({ words }) => (says.unverified.test(words) ? deferred : null),
  ({ words }) => (says.asked.test(words) && !says.mailbox.test(words) ? unclear : null),
  ({ words }) => (says.fullMailbox.test(words) ? mailboxBusy : null),
  ({ words, enhanced }) =>
    says.mailbox.test(words) && enhanced?.subject === 1 && badMailbox.has(enhanced.detail) ? noMailbox : null,
  ({ words }) => (says.size.test(words) ? tooLarge : null),
  ({ words }) => (says.quota.test(words) ? overQuota : null),
  ({ words, status }) => (status < 500 && says.later.test(words) ? deferred : null),
  ({ words }) => (says.trust.test(words) ? distrusted : null),
  ({ words, enhanced }) =>
    says.mailbox.test(words) && !(enhanced && notTheMailbox.has(enhanced.subject)) ? noMailbox : null,
  // Whose account, only a code tells: a service that has suspended ours says so in the same words, to every recipient.
  ({ words, enhanced }) =>
    says.account.test(words) && !(enhanced && ofTheRecipient(enhanced)) ? unclear : null,
  ({ enhanced, words }) => (enhanced ? meaningOf(enhanced, words) : null),
  ({ enhanced, status }) => (enhanced?.subject === 7 && status >= 500 ? distrusted : null),
  ({ status }) => (status < 500 ? deferred : null),
];

/** Before any recipient is named, it is about all: about our address, unless it says what else. */
function atSender({ words, enhanced, status }: SmtpReply): Meaning {
  if (says.sender.test(words) || (enhanced && ofTheSender(enhanced))) return ownSender;
  if (says.relaying.test(words)) return relayDenied;
  if (says.size.test(words) || (enhanced?.subject === 3 && enhanced.detail === 4)) return tooLarge;
  if (says.quota.test(words)) return overQuota;
  if (says.trust.test(words)) return distrusted;
  if (enhanced?.subject === 3 || says.storage.test(words)) return serverTrouble;
  return status < 500 && says.later.test(words) ? deferred : ownSender;
}

/** System, network, protocol: where the code says one of these, words about a mailbox prove nothing. */
const notTheMailbox = new Set([3, 4, 5]);

const ofTheSender = ({ subject, detail }: Code) => subject === 1 && (detail === 7 || detail === 8);
const ofTheRecipient = ({ subject, detail }: Code) =>
  (subject === 1 && badMailbox.has(detail)) || (subject === 2 && detail === 1);

/** What a code says by itself, where it does. */
function meaningOf({ subject, detail }: Code, words: string): Meaning | null {
  if (subject === 1 && badMailbox.has(detail)) return noMailbox;
  if (subject === 2 && detail === 1) return { ...noMailbox, text: "the recipient's mailbox is closed" };
  if (subject === 2 && detail >= 2 && detail <= 4) return mailboxBusy;
  if (subject === 3) return detail === 4 ? tooLarge : serverTrouble;
  // How Exchange Online says that its directory has no such recipient, or that the domain does not exist.
  if (subject === 4 && detail === 1) return /recipient address rejected/.test(words) ? noMailbox : null;
  if (subject === 4 && detail === 310) return noMailbox;
  if (subject === 4 && detail === 5) return overQuota;
  // The recipient's side can't take the address as it is written, in letters beyond ASCII.
  if (subject === 6 && (detail === 7 || detail === 9 || detail === 10)) return noMailbox;
  return null;
}

/** What servers say, in the words of Postfix, Exchange, Gmail, SES, Exim and those that imitate them. */
const says = {
  relaying:
    /relay(ing)?\b[^.;:]{0,40}(denied|not permitted|not allowed|prohibited|forbidden|disallowed|rejected|refused)|relaying disallowed|(unable|allowed|permitted|authori[sz]ed|refuses?|refused) to relay|(cannot|can't|do not|does not|don't|won't) (relay|deliver( mail)? for)|authentication (is )?required|requires authentication|smtp[ -]?auth|authentication failed for|not authenticated|must (be )?authenticat|please (log ?in|authenticate)|rcpthosts/,
  sender:
    /sender (address |domain )?(is |was )?(rejected|refused|denied|unknown|not (allowed|authori[sz]ed|permitted|owned))|sender verif|(domain of|envelope|bad outbound) sender|badmailfrom|(from|return.path) (address|domain|header) .{0,40}(not|fail|invalid|reject|mismatch)|mail from must|not (allowed|authori[sz]ed|permitted) to (send|perform)|permissions? to send|send ?as ?denied|address is not verified|identities failed|domain is not verified/,
  ownAccount:
    /\byour [\w-]* ?(account|mailbox|server|token)\b|\b(smtp|sending|sender|customer|free|trial) account\b|account (is )?(pending|not (yet )?activated)|outgoing (mail|messages?)\b|server token/,
  unverified: /unverified address|address verification (in progress|failed)/,
  asked: /undeliverable address/,
  fullMailbox:
    /(mail|in)box (is |size )?(full|exceed)|(mailbox|inbox|user|account|recipient)('s)? (is |has )?(out of|exceeded) (its |his |the )?(quota|storage|space)|over ?quota|exceeded (the )?storage allocation|receiving (mail|messages|e-?mail) (at|too)/,
  storage: /system (storage|resources)|disk/,
  size: /(message|mail) (size|length|is too (large|big)|too (large|big))|size limit|(line|header) too long/,
  quota:
    /(dail|hour|minut|second|send|messag|mail|recipient|rate|account|user|connection)\w* (\w+ ){0,3}(limit|quota|rate)s?\b|(limit|quota|rate)\w* (\w+ ){0,2}(exceed|reach|hit)|exceed\w* (\w+ ){0,5}(limit|quota|rate)|submissionquota|throttl|rate.?limit|frequency|(messages|mails?|e-?mails) per (second|minute|hour|day)|too (many|much) (messages|mails?|e-?mails|connections)|unusual (\w+ )?(rate|activity)|sending (has been |is )?(paused|suspended|blocked|disabled)/,
  later: /gr[ae]y-?list|try again|temporarily deferred|come back/,
  trust:
    /block(ed| ?list)|black-?list|listed (in|by|on|at)|nsbl\b|\brbl\b|spamhaus|spamcop|barracuda|reputation|banned|\bspf\b|\bdkim\b|\bdmarc\b|unauthenticated|client host|reverse (dns|lookup|host)|\bptr\b|\be?helo\b|unsolicited|\bspam\b|suspicious|\bpolicy\b|administrative(ly)? prohibit|tls (is )?required|must issue|your (ip|host|network|domain)/,
  mailbox:
    /(recipient|mailbox|address|addressee|alias|person)\b[^.;:]{0,40}(unknown|not (found|exist|known|listed|valid|a valid|active|our)|doesn't exist|disabled|inactive|suspended|discontinued|no longer|invalid)|(user|account)\b[^.;:]{0,40}(unknown|not (found|exist|known|listed|valid|a valid|our)|doesn't exist|invalid)|doesn't have an? .{0,40}account|(unknown|no such|invalid|nonexistent|non-existent|bad|unrouteable|unroutable) (local )?(user|recipient|mailbox|account|address|destination|person)|(inactive|disabled) (recipient|mailbox|address)|no mailbox (here|by that name)|not our customer/,
  account:
    /(account|user)\b[^.;:]{0,40}(disabled|inactive|suspended|discontinued|blocked|locked|closed|not active)/,
} as const;

function toRefusal({ status }: SmtpReply, { owner, reach, code, text, final }: Meaning): SmtpRefusal {
  return {
    class: classOf(status, owner, final === true),
    owner,
    reach,
    code,
    reason: `${text} (SMTP ${status})`,
  };
}

/** `permanent` is for the item's alone: whatever else is refused may be taken once the cause is mended. */
function classOf(status: number, owner: FailureOwner, final: boolean): FailureClass {
  if (owner === 'item' && final && status >= 500) return 'permanent';
  return owner === 'unknown' && status >= 500 ? 'unknown' : 'transient';
}
