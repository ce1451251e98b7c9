import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createMailer, type Mailer } from '../../../services/consumer/mailer.ts';
import type { SmtpPhase } from '../../../services/consumer/smtp-clock.ts';
import { classifyFailure } from '../../../services/domain/failure-classes.ts';
import { parseSmtpUrl } from '../../../services/runtime/smtp-url.ts';

/** Answers each line by its first word; null says nothing for ever. */
type Script = (word: string, line: string) => string | null;

let server: Server | undefined;
let mailer: Mailer | undefined;
const sockets = new Set<Socket>();

afterEach(async () => {
  mailer?.close();
  for (const socket of sockets) socket.destroy();
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
});

async function startScripted(script: Script): Promise<{ port: number; said: string[] }> {
  const said: string[] = [];
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    const answer = (word: string, line: string) => {
      const text = script(word, line);
      if (text !== null) socket.write(`${text}\r\n`);
    };
    answer('CONNECT', '');
    let inContent = false;
    socket.on('data', (chunk) => {
      for (const line of String(chunk).split('\r\n').slice(0, -1)) {
        said.push(line);
        if (!inContent) answer(line.split(/[ :]/)[0] ?? '', line);
        else if (line === '.') answer('.', line);
        inContent = line === 'DATA' || (inContent && line !== '.');
      }
    });
  });
  server = listener;
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return { port: (listener.address() as AddressInfo).port, said };
}

const answers: Readonly<Record<string, string>> = {
  CONNECT: '220 ready',
  EHLO: '250-mail.example.com\r\n250 AUTH PLAIN LOGIN',
  STARTTLS: '502 5.5.1 command not implemented',
  AUTH: '235 2.7.0 ok',
  DATA: '354 go on',
};
const usual: Script = (word) => answers[word] ?? '250 ok';

const patient = {
  connect: 5_000,
  greeting: 5_000,
  command: 5_000,
  data: 5_000,
  content: 5_000,
  acceptance: 5_000,
};

async function send(url: string, times: Record<SmtpPhase, number> = patient) {
  const parsed = parseSmtpUrl(url);
  if ('problem' in parsed) throw new Error(parsed.problem);
  mailer = createMailer({
    server: parsed,
    from: { name: 'Gifts', address: 'gifts@example.com', domain: 'example.com' },
    maxConnections: 1,
    times,
  });
  const mail = {
    to: 'ada@example.org',
    messageId: 'dlv_1@example.com',
    subject: 's',
    text: 'the link',
    html: 'h',
  };
  return await mailer.send(mail, new AbortController().signal);
}

describe('security does not downgrade silently', () => {
  test('where STARTTLS is missing, neither the login nor a mail is sent, and the failure is nobody’s gift', async () => {
    const { port, said } = await startScripted(usual);
    const result = await send(`smtp://mailer:secret@127.0.0.1:${port}`);
    expect(result).toMatchObject({ ok: false, begun: false, inDoubt: false });
    if (!result.ok) {
      expect(classifyFailure(result.error)).toMatchObject({
        owner: 'peer',
        reach: 'all',
        code: 'mail_tls_refused',
      });
    }
    expect(said.map((line) => line.split(/[ :]/)[0])).toEqual(['EHLO', 'STARTTLS']);
  });

  test('the same where a server knows no EHLO, which is where STARTTLS would be offered', async () => {
    const { port, said } = await startScripted((word) => (word === 'EHLO' ? '502 no' : usual(word, '')));
    expect(await send(`smtp://mailer:secret@127.0.0.1:${port}`)).toMatchObject({ ok: false, begun: false });
    expect(said.join()).not.toMatch(/AUTH|MAIL/);
  });

  test.each(['none', 'opportunistic'])('tls=%s says in words that it may go in the clear', async (words) => {
    const { port, said } = await startScripted(usual);
    expect(await send(`smtp://mailer:secret@127.0.0.1:${port}?tls=${words}`)).toEqual({ ok: true });
    expect(said.some((line) => line.startsWith('AUTH'))).toBe(true);
  });
});

describe('each wait has the time that it is due', () => {
  const silentAt =
    (silent: string): Script =>
    (word) =>
      word === silent ? null : usual(word, '');

  test.each<[string, SmtpPhase, string, boolean]>([
    ['greeting', 'greeting', 'CONNECT', false],
    ['answer to EHLO', 'command', 'EHLO', false],
    ['answer to AUTH', 'command', 'AUTH', false],
    ['answer to MAIL FROM', 'command', 'MAIL', false],
    ['answer to RCPT TO', 'command', 'RCPT', false],
    ['answer to DATA', 'data', 'DATA', false],
    ['answer to the final dot', 'acceptance', '.', true],
  ])(
    'silence instead of the %s ends it after its own time, and the others are not cut by it',
    async (_what, phase, word, inDoubt) => {
      const { port } = await startScripted(silentAt(word));
      const before = performance.now();
      const result = await send(`smtp://mailer:secret@127.0.0.1:${port}?tls=none`, {
        ...Object.fromEntries(Object.keys(patient).map((name) => [name, 60_000])),
        [phase]: 300,
      } as typeof patient);
      expect(result).toMatchObject({ ok: false, inDoubt });
      expect(performance.now() - before).toBeLessThan(30_000);
      if (!result.ok)
        expect(classifyFailure(result.error)).toMatchObject({ owner: 'peer', class: 'transient' });
    },
  );

  test('a server that takes its time at every step, each within its own, is waited for', async () => {
    const { port } = await startScripted(usual);
    server?.removeAllListeners('connection');
    server?.on('connection', (socket: Socket) => {
      sockets.add(socket);
      const later = (text: string) => setTimeout(() => socket.write(`${text}\r\n`), 400);
      later('220 ready');
      let inContent = false;
      socket.on('data', (chunk) => {
        for (const line of String(chunk).split('\r\n').slice(0, -1)) {
          if (!inContent || line === '.') later(usual(line.split(/[ :]/)[0] ?? '', line) ?? '');
          inContent = line === 'DATA' || (inContent && line !== '.');
        }
      });
    });
    const times = { connect: 600, greeting: 600, command: 600, data: 600, content: 600, acceptance: 600 };
    expect(await send(`smtp://mailer:secret@127.0.0.1:${port}?tls=none`, times)).toEqual({ ok: true });
  });
});
