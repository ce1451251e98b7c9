import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { classifyFailure } from '../../../services/domain/failure-classes.ts';

type Command = 'CONN' | 'EHLO' | 'STARTTLS' | 'AUTH PLAIN' | 'MAIL FROM' | 'RCPT TO' | 'DATA' | 'content';

/** As nodemailer throws it. */
function refusal(command: Command, response: string): Error {
  const code =
    command === 'content'
      ? 'EMESSAGE'
      : ({ CONN: 'EPROTOCOL', EHLO: 'EPROTOCOL', STARTTLS: 'ETLS', 'AUTH PLAIN': 'EAUTH' }[
          command as string
        ] ?? 'EENVELOPE');
  return Object.assign(new Error(`refused: ${response}`), {
    code,
    command: command === 'content' ? 'DATA' : command,
    responseCode: Number(response.slice(0, 3)),
    response,
  });
}

const judge = (command: Command, response: string) => classifyFailure(refusal(command, response));

describe('a refusal that is proven to be of this recipient is the item’s, and final', () => {
  test.each<[string, Command, string]>([
    [
      'Postfix',
      'RCPT TO',
      '550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown in virtual mailbox table',
    ],
    [
      'Postfix, a domain without a host',
      'RCPT TO',
      '550 5.1.2 <ada@example.com>: Recipient address rejected: Domain not found',
    ],
    [
      'Postfix, a reject code of its own',
      'RCPT TO',
      '550 5.7.1 <ada@example.com>: Recipient address rejected: user unknown',
    ],
    [
      'Gmail',
      'RCPT TO',
      "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email address for typos or\n550 5.1.1 unnecessary spaces. See our policy at https://support.google.com/mail/?p=NoSuchUser",
    ],
    ['Gmail, disabled', 'RCPT TO', '550 5.2.1 The email account that you tried to reach is disabled.'],
    [
      'Exchange Online',
      'RCPT TO',
      '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ada@example.com not found by SMTP address lookup',
    ],
    [
      'Exchange Online, at its edge',
      'RCPT TO',
      '550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [x.outlook.com]',
    ],
    [
      'Exchange Online, a closed group',
      'RCPT TO',
      '550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed because the sender was not authenticated when sending to this group',
    ],
    ['Exim', 'RCPT TO', '550 Unrouteable address'],
    ['Exim in cPanel', 'RCPT TO', '550 No Such User Here'],
    ['a server without codes', 'RCPT TO', '550 <ada@example.com>... User unknown'],
    ['a syntax that no server takes', 'RCPT TO', '501 5.1.3 Bad recipient address syntax'],
    ['a mailbox moved', 'RCPT TO', '551 5.1.6 The recipient has moved'],
    [
      'Postfix, which has asked the next server',
      'RCPT TO',
      '550 5.1.1 <ada@example.com>: Recipient address rejected: undeliverable address: host mx.example.com[192.0.2.1] said: 550 5.1.1 <ada@example.com>: User unknown in local recipient table (in reply to RCPT TO command)',
    ],
    [
      'Postfix, a domain that takes no mail',
      'RCPT TO',
      '556 5.1.10 <ada@example.com>: Recipient address rejected: Domain example.com does not accept mail (nullMX)',
    ],
    [
      'Yahoo, after the content',
      'content',
      "554 delivery error: dd This user doesn't have a yahoo.com account (ada@yahoo.com) [0] - mta1",
    ],
    [
      'letters that the other side can not take',
      'RCPT TO',
      '553 5.6.7 SMTPUTF8 is required, but was not offered',
    ],
    ['after the content, by a server that looks late', 'content', '550 5.1.1 User unknown'],
  ])('%s', (_server, command, response) => {
    expect(judge(command, response)).toMatchObject({ class: 'permanent', owner: 'item', reach: 'one' });
  });
});

describe('a refusal of this recipient that may pass is the item’s, and not final', () => {
  test.each<[string, Command, string]>([
    ['a full mailbox', 'RCPT TO', '452 4.2.2 <ada@example.com>: user is over quota'],
    ['a full mailbox, said for good', 'RCPT TO', '552 5.2.2 Mailbox full'],
    [
      'Gmail, a mailbox that is flooded',
      'RCPT TO',
      '450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages',
    ],
    [
      'Exchange Online, a mailbox that is flooded',
      'RCPT TO',
      '550 5.2.122 RESOLVER.RST.RecipientRateLimitExceeded; The recipient has exceeded their limit for the number of messages they can receive per hour',
    ],
    [
      "a mailbox without room, in RFC 5321's own words",
      'RCPT TO',
      '552 Requested mail action aborted: exceeded storage allocation',
    ],
    [
      'a user who is unknown for now',
      'RCPT TO',
      '450 4.1.1 <ada@example.com>: Recipient address rejected: User unknown',
    ],
    [
      'a domain that is not found for now',
      'RCPT TO',
      '450 4.1.2 <ada@example.com>: Recipient address rejected: Domain not found',
    ],
  ])('%s', (_what, command, response) => {
    expect(judge(command, response)).toMatchObject({ class: 'transient', owner: 'item', reach: 'one' });
  });
});

describe('a fault of ours is never charged to the item', () => {
  test.each<[string, Command, string, string]>([
    ['Postfix', 'RCPT TO', '554 5.7.1 <ada@example.com>: Relay access denied', 'mail_relay_denied'],
    [
      'Postfix, deferring',
      'RCPT TO',
      '454 4.7.1 <ada@example.com>: Relay access denied',
      'mail_relay_denied',
    ],
    [
      'Exchange',
      'RCPT TO',
      '550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain',
      'mail_relay_denied',
    ],
    ['Exim', 'RCPT TO', '550 relay not permitted', 'mail_relay_denied'],
    [
      'qmail',
      'RCPT TO',
      "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
      'mail_relay_denied',
    ],
    [
      'Postfix, a sender that it checks at RCPT',
      'RCPT TO',
      '553 5.7.1 <gifts@example.com>: Sender address rejected: not owned by user mailer',
      'mail_sender_refused',
    ],
    [
      'Postfix, a sender that it does not know',
      'RCPT TO',
      '550 5.1.0 <gifts@example.com>: Sender address rejected: User unknown in virtual mailbox table',
      'mail_sender_refused',
    ],
    [
      'Exchange Online, an account that was cut off',
      'content',
      '550 5.1.8 Access denied, bad outbound sender. AS(42004)',
      'mail_sender_refused',
    ],
    [
      'Exchange, another sender',
      'content',
      '554 5.2.252 SendAsDenied; mailer@example.com not allowed to send as gifts@example.com',
      'mail_sender_refused',
    ],
    [
      'SES in its sandbox',
      'content',
      '554 Message rejected: Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: gifts@example.com',
      'mail_sender_refused',
    ],
    [
      'SES, paused',
      'content',
      '554 Message rejected: Sending paused for this account.',
      'mail_quota_exceeded',
    ],
    [
      'SES, too fast',
      'content',
      '454 Throttling failure: Maximum sending rate exceeded.',
      'mail_quota_exceeded',
    ],
    [
      'SES, the day used up',
      'MAIL FROM',
      '454 Throttling failure: Daily message quota exceeded.',
      'mail_quota_exceeded',
    ],
    [
      'Gmail, the day used up',
      'content',
      '550 5.4.5 Daily user sending limit exceeded. For more information visit https://support.google.com/a/answer/166852',
      'mail_quota_exceeded',
    ],
    [
      'Exchange Online, too many connections',
      'RCPT TO',
      '432 4.3.2 Concurrent connections limit exceeded',
      'mail_quota_exceeded',
    ],
    [
      'Gmail, without authentication',
      'content',
      '550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550 5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.',
      'mail_policy_refused',
    ],
    [
      'Gmail, DMARC',
      'content',
      "550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy",
      'mail_policy_refused',
    ],
    [
      'Gmail, no PTR',
      'content',
      '550 5.7.25 The IP address sending this message does not have a PTR record setup',
      'mail_policy_refused',
    ],
    [
      'Gmail, taken for spam',
      'content',
      '550 5.7.1 Gmail has detected that this message is likely unsolicited mail',
      'mail_policy_refused',
    ],
    [
      'Exchange Online, our address',
      'RCPT TO',
      '550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.',
      'mail_policy_refused',
    ],
    [
      'a block list',
      'RCPT TO',
      '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org',
      'mail_policy_refused',
    ],
    [
      'a block list that blames the recipient',
      'RCPT TO',
      '550 5.1.1 Recipient rejected: your IP is listed by barracudacentral',
      'mail_policy_refused',
    ],
    [
      'Postfix, our HELO',
      'RCPT TO',
      '504 5.5.2 <pod-1>: Helo command rejected: need fully-qualified hostname',
      'mail_policy_refused',
    ],
    [
      'Postfix, a table of recipients',
      'RCPT TO',
      '554 5.7.1 <ada@example.com>: Recipient address rejected: Access denied',
      'mail_policy_refused',
    ],
    [
      'sendmail, a sender that it checks at RCPT',
      'RCPT TO',
      '553 5.1.8 <gifts@example.com>... Domain of sender address gifts@example.com does not exist',
      'mail_sender_refused',
    ],
    [
      'qmail, a sender that it does not want',
      'RCPT TO',
      '553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)',
      'mail_sender_refused',
    ],
    [
      'SES, a user without the right',
      'content',
      "554 Access denied: User `arn:aws:iam::1:user/mailer' is not authorized to perform `ses:SendRawEmail'",
      'mail_sender_refused',
    ],
    [
      'a hoster that has cut us off',
      'content',
      '554 5.7.0 Your account has been suspended',
      'mail_server_refused',
    ],
    ['a hoster, of whoever logged in', 'RCPT TO', '554 SMTP account disabled', 'mail_server_refused'],
    ['Postmark, a token', 'RCPT TO', '550 Invalid server token', 'mail_server_refused'],
    ['Zoho', 'RCPT TO', '553 Relaying disallowed. Invalid Domain - example.com', 'mail_relay_denied'],
    [
      'Exim in cPanel, without a login',
      'RCPT TO',
      '550 Please turn on SMTP Authentication in your mail client',
      'mail_relay_denied',
    ],
    [
      'Haraka, which has no host of that name',
      'RCPT TO',
      '550 I cannot deliver mail for {<ada@example.com>}',
      'mail_relay_denied',
    ],
    [
      'Exim in cPanel, the hour used up',
      'RCPT TO',
      '550 Domain example.com has exceeded the max emails per hour (25/25 (100%)) allowed',
      'mail_quota_exceeded',
    ],
    ['a host that takes no mail', 'RCPT TO', '521 5.2.1 Not accepting mail', 'mail_server_refused'],
    ['a login that is missing', 'RCPT TO', '530 5.7.0 Authentication required', 'mail_login_refused'],
    [
      'TLS that is missing',
      'MAIL FROM',
      '530 5.7.0 Must issue a STARTTLS command first',
      'mail_login_refused',
    ],
    ['a login that is wrong', 'AUTH PLAIN', '535 5.7.8 Error: authentication failed', 'mail_login_refused'],
    [
      'a login that can not be checked now',
      'AUTH PLAIN',
      '454 4.7.0 Temporary authentication failure',
      'mail_login_refused',
    ],
    [
      'our sender address',
      'MAIL FROM',
      '553 5.1.8 <gifts@example.com>: Sender address rejected: Domain not found',
      'mail_sender_refused',
    ],
    [
      'a block list, at the sender',
      'MAIL FROM',
      '554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org',
      'mail_policy_refused',
    ],
    [
      'Exchange, a login that is missing',
      'MAIL FROM',
      '550 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM',
      'mail_relay_denied',
    ],
    ['a greeting that turns us away', 'CONN', '554 5.7.1 You are not welcome here', 'mail_server_refused'],
    ['a name that is not liked', 'EHLO', '550 5.7.1 access denied', 'mail_server_refused'],
  ])('%s', (_server, command, response, code) => {
    const failure = judge(command, response);
    expect(failure).toMatchObject({ owner: 'us', code });
    expect(failure.class).not.toBe('permanent');
    expect(['many', 'all']).toContain(failure.reach);
  });
});

describe('a fault of the mail server is never charged to the item', () => {
  test.each<[string, Command, string, string]>([
    ['its TLS', 'STARTTLS', '454 4.7.0 TLS not available due to local problem', 'mail_tls_refused'],
    ['its TLS, taken away on the way', 'STARTTLS', '502 5.5.1 command not recognized', 'mail_tls_refused'],
    ['its disk, at the sender', 'MAIL FROM', '452 4.3.1 Insufficient system storage', 'mail_server_failing'],
    ['its load, at the login', 'AUTH PLAIN', '421 4.7.0 Too many connections', 'mail_server_busy'],
    ['its load, at its TLS', 'STARTTLS', '421 4.3.2 Service shutting down', 'mail_server_busy'],
    ['its load, at our name', 'EHLO', '432 4.3.2 Please come back later', 'mail_server_busy'],
    ['a grey list, at the sender', 'MAIL FROM', '450 4.7.1 Greylisted, try again later', 'mail_deferred'],
    ['its disk', 'content', '452 4.3.1 Insufficient system storage', 'mail_server_failing'],
    ['its set-up', 'RCPT TO', '451 4.3.5 Server configuration error', 'mail_server_failing'],
    ['its set-up, said for good', 'RCPT TO', '554 5.3.0 rewrite: map lookup failed', 'mail_server_failing'],
    ['its end of service', 'RCPT TO', '421 4.3.2 System not accepting network messages', 'mail_server_busy'],
    [
      'its load, at the greeting',
      'CONN',
      '421 4.7.0 Too many connections, come back later',
      'mail_server_busy',
    ],
    [
      'its rate, by hanging up',
      'content',
      '421 4.7.0 Try again later, closing connection',
      'mail_server_busy',
    ],
    [
      'a grey list',
      'RCPT TO',
      '450 4.7.1 <ada@example.com>: Recipient address rejected: Greylisted, see http://postgrey.example',
      'mail_deferred',
    ],
    ['nothing but a code', 'RCPT TO', '451 please wait', 'mail_deferred'],
    [
      'the next server, which it could not ask',
      'RCPT TO',
      '450 4.1.1 <ada@example.com>: Recipient address rejected: unverified address: connect to mx.example.com[192.0.2.1]:25: Connection timed out',
      'mail_deferred',
    ],
  ])('%s', (_what, command, response, code) => {
    expect(judge(command, response)).toMatchObject({ class: 'transient', owner: 'peer', code });
  });
});

describe('a refusal that says too little is nobody’s until it is shown whose it is', () => {
  test.each<[string, Command, string]>([
    ['550 without a word', 'RCPT TO', '550 '],
    ["550 in RFC 5321's own words", 'RCPT TO', '550 Requested action not taken: mailbox unavailable'],
    ['Outlook.com', 'RCPT TO', '550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).'],
    ['554 without a word', 'content', '554 Transaction failed'],
    ['an account that may be ours', 'content', '550 Account disabled'],
    ['an account that may be ours, at the recipient', 'RCPT TO', '550 5.7.1 Account suspended'],
    ['a user who may be ours', 'RCPT TO', '550 User is suspended'],
    [
      'a code of the recipient for what stopped the server from asking the next one',
      'RCPT TO',
      '550 5.1.1 <ada@example.com>: Recipient address rejected: undeliverable address: mail for example.com loops back to myself',
    ],
    ['SES', 'content', '554 Access denied'],
    ['content', 'content', '554 5.6.0 Message content rejected'],
    ['another address status', 'RCPT TO', '550 5.1.0 Address rejected'],
    ['an order of commands', 'RCPT TO', '503 5.5.1 Error: need MAIL command'],
    ['another code that nobody defined', 'RCPT TO', '550 5.9.9 no'],
    ['a code that contradicts its status', 'RCPT TO', '550 4.1.1 no'],
    ['a domain that may only be missing for the server', 'RCPT TO', '550 5.4.4 Unable to route'],
  ])('%s', (_what, command, response) => {
    expect(judge(command, response)).toMatchObject({ class: 'unknown', owner: 'unknown', reach: 'some' });
  });
});

describe('what a recipient is called does not decide whose the failure is', () => {
  test.each([
    ['relay.access.denied@example.com'],
    ['daily.limit.exceeded@example.com'],
    ['dmarc@spamhaus.example'],
    ['"relay access denied"@example.com'],
  ])('%s is an unknown user like any other', (address) => {
    for (const shown of [`<${address}>`, address]) {
      expect(judge('RCPT TO', `550 5.1.1 ${shown}: Recipient address rejected: User unknown`)).toMatchObject({
        class: 'permanent',
        owner: 'item',
      });
    }
  });

  test.each([
    ['user.unknown@example.com'],
    ['"no such user"@example.com'],
    ['unknown.recipient@example.com'],
  ])('%s is no unknown user by its name', (address) => {
    for (const shown of [`<${address}>`, address]) {
      expect(judge('RCPT TO', `554 5.7.1 ${shown}: Relay access denied`)).toMatchObject({ owner: 'us' });
      expect(judge('RCPT TO', `550 ${shown} rejected`)).toMatchObject({ owner: 'unknown' });
    }
  });
});

test('nothing but what is the item’s is ever permanent, whatever a server says', () => {
  const command = fc.constantFrom<Command>(
    'CONN',
    'EHLO',
    'STARTTLS',
    'AUTH PLAIN',
    'MAIL FROM',
    'RCPT TO',
    'DATA',
    'content',
  );
  const enhanced = fc.option(fc.tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 150 })), {
    nil: null,
  });
  const words = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'user unknown',
      'relay access denied',
      'quota exceeded',
      'blocked',
      'try again',
      'no such user',
    ),
  );
  fc.assert(
    fc.property(command, fc.integer({ min: 400, max: 599 }), enhanced, words, (at, status, detail, text) => {
      const code = detail === null ? '' : `${Math.floor(status / 100)}.${detail[0]}.${detail[1]} `;
      const failure = judge(at, `${status} ${code}${text}`);
      if (failure.class === 'permanent') expect(failure).toMatchObject({ owner: 'item', reach: 'one' });
      if (at !== 'RCPT TO' && at !== 'DATA' && at !== 'content') expect(failure.owner).not.toBe('item');
      expect(failure.class).not.toBe('poison');
    }),
  );
});
