import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createMailer, type Mailer } from '../../../services/consumer/mailer.ts';
import { classifyFailure } from '../../../services/domain/failure-classes.ts';
import { parseSmtpUrl } from '../../../services/runtime/smtp-url.ts';
import { eventually } from '../../support/eventually.ts';
import { type MailBehaviour, type MailServer, startMailServer } from '../../support/mail-server.ts';

let server: MailServer;
let mailer: Mailer;

const from = { name: 'Gifts', address: 'gifts@mail.example.com', domain: 'mail.example.com' };
const times = {
  connect: 1_000,
  greeting: 1_000,
  command: 1_000,
  data: 1_000,
  content: 1_000,
  acceptance: 1_000,
};

function serverAt(url: string) {
  const parsed = parseSmtpUrl(url);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed;
}

const mail = {
  to: 'ada@example.com',
  messageId: 'dlv_1@mail.example.com',
  subject: 'Your gift',
  text: 'Claim it: https://gifts.example.com/claim/clt_1',
  html: '<p>Claim it</p>',
};

beforeEach(async () => {
  server = await startMailServer();
  mailer = createMailer({
    server: serverAt(server.url),
    from,
    maxConnections: 1,
    times,
  });
});

afterEach(async () => {
  mailer.close();
  await server.stop();
});

const never = () => new AbortController().signal;

/** What is known of a mail that failed. */
async function failure(behaviour: MailBehaviour | (() => Promise<void>), signal = never()) {
  if (typeof behaviour === 'function') await behaviour();
  else server.behave(behaviour);
  const result = await mailer.send(mail, signal);
  if (result.ok) throw new Error('the mail was sent');
  const { class: failureClass, code } = classifyFailure(result.error);
  return { begun: result.begun, inDoubt: result.inDoubt, class: failureClass, code };
}

describe('a mail that was certainly not accepted', () => {
  test('because the server is away', async () => {
    expect(await failure(() => server.stop())).toEqual({
      begun: false,
      inDoubt: false,
      class: 'transient',
      code: 'mail_unreachable',
    });
  });

  test.each<[string, MailBehaviour, object]>([
    ['the server never greets', { kind: 'hang', at: 'greeting' }, { begun: false, class: 'transient' }],
    ['the server hangs up before its greeting', { kind: 'drop', at: 'greeting' }, { class: 'transient' }],
    [
      'the server turns us away',
      { kind: 'reply', at: 'greeting', code: 554 },
      { begun: false, class: 'transient', code: 'mail_server_refused' },
    ],
    [
      'the server refuses our sender address',
      { kind: 'reply', at: 'sender', code: 553 },
      { begun: true, class: 'transient', code: 'mail_sender_refused' },
    ],
    [
      'the recipient is deferred',
      { kind: 'reply', at: 'recipient', code: 451 },
      { begun: true, class: 'transient', code: 'mail_deferred' },
    ],
    [
      'the recipient is refused',
      { kind: 'reply', at: 'recipient', code: 550 },
      { begun: true, class: 'permanent', code: 'recipient_refused' },
    ],
    ['the server falls silent at the recipient', { kind: 'hang', at: 'recipient' }, { class: 'transient' }],
    ['the server hangs up at the recipient', { kind: 'drop', at: 'recipient' }, { class: 'transient' }],
    [
      'the content is deferred',
      { kind: 'reply', at: 'content', code: 452 },
      { begun: true, class: 'transient', code: 'mail_deferred' },
    ],
    [
      'the content is refused',
      { kind: 'reply', at: 'content', code: 554 },
      { begun: true, class: 'unknown', code: 'mail_refused' },
    ],
  ])('because %s', async (_why, behaviour, expected) => {
    expect(await failure(behaviour)).toMatchObject({ inDoubt: false, ...expected });
    expect(server.mails()).toEqual([]);
  });
});

describe('a mail that may have been accepted', () => {
  test.each<[string, MailBehaviour]>([
    ['the server falls silent after the content', { kind: 'hang', at: 'content', kept: true }],
    ['the server hangs up after the content', { kind: 'drop', at: 'content', kept: true }],
    [
      'the server hangs up and has not kept it: nobody can tell',
      { kind: 'drop', at: 'content', kept: false },
    ],
  ])('when %s', async (_when, behaviour) => {
    expect(await failure(behaviour)).toMatchObject({ begun: true, inDoubt: true, class: 'transient' });
  });

  test('when it is aborted after the content', async () => {
    const controller = new AbortController();
    server.behave({ kind: 'hang', at: 'content', kept: true });
    const failed = failure({ kind: 'hang', at: 'content', kept: true }, controller.signal);
    await eventually(() => expect(server.held()).toBe(1));
    controller.abort();
    expect(await failed).toMatchObject({ begun: true, inDoubt: true, code: 'timed_out' });
  });
});

describe('a mail that has to be allowed to leave', () => {
  test('is asked for when the server wants its content, and given to it when it may', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let asked = 0;
    const mayLeave = () => {
      asked += 1;
      return promise;
    };
    const stages: [string, number][] = [];
    server.behave(({ at }) => {
      stages.push([at, asked]);
      return { kind: 'accept' };
    });
    const result = mailer.send(mail, never(), { mayLeave });
    await eventually(() => expect(asked).toBe(1));
    expect(stages).toEqual([
      ['greeting', 0],
      ['sender', 0],
      ['recipient', 0],
    ]);
    resolve();
    expect(await result).toEqual({ ok: true });
    expect(server.mails()).toHaveLength(1);
  });

  test('and may not is not given to it at all, and is not in doubt', async () => {
    const withheld = new Error('not now');
    const result = await mailer.send(mail, never(), { mayLeave: () => Promise.reject(withheld) });
    expect(result).toEqual({ ok: false, error: withheld, begun: true, inDoubt: false });
    expect(await mailer.send(mail, never(), { mayLeave: () => Promise.resolve() })).toEqual({ ok: true });
    expect(server.mails()).toHaveLength(1);
  });

  test('is not sent to a recipient who is refused, and nothing is left open', async () => {
    server.behave({ kind: 'reply', at: 'recipient', code: 550 });
    const mayLeave = () => new Promise<void>(() => undefined);
    const result = await mailer.send(mail, never(), { mayLeave });
    expect(result).toMatchObject({ ok: false, inDoubt: false });
    server.behave({ kind: 'accept' });
    expect(await mailer.send(mail, never())).toEqual({ ok: true });
    expect(server.connections()).toBe(1);
  });
});

describe('P10: an aborted signal', () => {
  test('ends the mail that is under way, and the one that waits for a connection', async () => {
    server.behave({ kind: 'hang', at: 'recipient' });
    const controller = new AbortController();
    const results = [1, 2].map(() => mailer.send(mail, controller.signal));
    await eventually(() => expect(server.held()).toBe(1));
    controller.abort();
    expect(await Promise.all(results)).toMatchObject([
      { ok: false, begun: true, inDoubt: false },
      { ok: false, begun: false, inDoubt: false },
    ]);
    // The pool is not left with a dead connection.
    server.behave({ kind: 'accept' });
    expect(await mailer.send(mail, never())).toEqual({ ok: true });
  });

  test('that was aborted before sends nothing', async () => {
    expect(await mailer.send(mail, AbortSignal.abort())).toMatchObject({ ok: false, begun: false });
    expect(server.connections()).toBe(0);
  });
});

describe('the pool', () => {
  test('opens no connection before the first mail, and reuses one after it', async () => {
    expect(server.connections()).toBe(0);
    for (let i = 0; i < 5; i += 1) expect(await mailer.send(mail, never())).toEqual({ ok: true });
    expect(server.connections()).toBe(1);
    expect(server.mails()).toHaveLength(5);
  });

  test('outlives a server that restarts between two mails', async () => {
    expect(await mailer.send(mail, never())).toEqual({ ok: true });
    await server.stop();
    await server.start();
    expect(await mailer.send(mail, never())).toEqual({ ok: true });
    expect(server.mails()).toHaveLength(2);
  });
});

describe('on the wire', () => {
  test('the mail is text and HTML, with our id, and marked as automatic', async () => {
    await mailer.send(mail, never());
    const [received] = server.mails();
    expect(received).toMatchObject({
      to: ['ada@example.com'],
      messageId: '<dlv_1@mail.example.com>',
      subject: 'Your gift',
      link: 'https://gifts.example.com/claim/clt_1',
    });
    expect(received?.headers.get('from')).toBe('Gifts <gifts@mail.example.com>');
    expect(received?.headers.get('auto-submitted')).toBe('auto-generated');
    expect(received?.html).toContain('<p>Claim it</p>');
  });

  test.each([
    '=?utf-8?B?UGF5UGFs?= sent you a gift',
    'Ada =?utf-8?Q?=50ayPal?= sent you',
    '=?utf-8?Q?a b?=',
    `${'Ünïcödé '.repeat(12)}=?utf-8?B?UGF5UGFs?=`,
    'a =? b',
  ])('what a mail program would decode is shown as it was written: %j', async (subject) => {
    await mailer.send({ ...mail, subject }, never());
    expect(server.mails()[0]?.subject).toBe(subject);
  });

  test('a sender name of any punctuation is one mailbox', async () => {
    mailer.close();
    mailer = createMailer({
      server: serverAt(server.url),
      from: { ...from, name: 'Gifts: best, "really" <x>;' },
      maxConnections: 1,
      times,
    });
    await mailer.send(mail, never());
    expect(server.mails()[0]?.headers.get('from')).toBe(
      String.raw`"Gifts: best, \"really\" <x>;" <gifts@mail.example.com>`,
    );
  });

  test.each(['Gift\r\nBcc: eve@example.com', 'Gift\nBcc: eve@example.com', 'Gift\u2028Bcc: eve@example.com'])(
    'a subject adds no header and no recipient: %j',
    async (subject) => {
      await mailer.send({ ...mail, subject }, never());
      const [received] = server.mails();
      expect(received?.to).toEqual(['ada@example.com']);
      expect(received?.headers.has('bcc')).toBe(false);
    },
  );

  test.each([
    'ada@example.com, eve@example.com',
    'ada@example.com>\r\nRCPT TO:<eve@example.com',
    'a b@example.com',
  ])('an address is one recipient or none: %j', async (to) => {
    await mailer.send({ ...mail, to }, never());
    expect(server.mails().flatMap((received) => received.to)).not.toContain('eve@example.com');
  });
});
