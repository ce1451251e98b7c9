import { execFile } from 'node:child_process';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import { SMTPServer } from 'smtp-server';
import tlsOptions from 'smtp-server/lib/tls-options.js';

const run = promisify(execFile);
const script = new URL('../../support/ask-peers-process.ts', import.meta.url).pathname;

/** A certificate for `localhost` that is out of date, signed by nobody, and whose key everybody knows. */
const { key, cert } = tlsOptions({}) as { key: string; cert: string };

const sockets = new Set<Socket>();
const servers: { close: (done: () => void) => unknown }[] = [];

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise<void>((done) => server.close(done))));
});

async function listen(server: Server): Promise<number> {
  server.on('connection', (socket: Socket) => sockets.add(socket));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** What somebody in between hears, who shows a certificate that proves nothing. */
async function startImpostors() {
  const heard: string[] = [];
  const mail = new SMTPServer({
    authOptional: true,
    key,
    cert,
    onAuth: ({ username = '' }, _session, done) => {
      heard.push(`mail login of ${username}`);
      done(null, { user: username });
    },
    onData: (content, _session, done) => {
      heard.push('mail');
      content.resume().on('end', () => done());
    },
  });
  const database = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write('S');
      const secured = new TLSSocket(socket, { isServer: true, key, cert });
      secured.on('error', () => undefined);
      secured.once('data', () => {
        heard.push('database start-up');
        secured.end();
      });
    });
  });
  const overHttps = (peer: string) =>
    createHttpsServer({ key, cert }, (_request, response) => {
      heard.push(`${peer} request`);
      response.end('{}');
    });
  return {
    heard,
    smtpUrl: `smtp://mailer:secret@localhost:${await listen(mail.server as Server)}`,
    databaseUrl: `postgres://app:secret@localhost:${await listen(database)}/largesse`,
    sqsUrl: `https://localhost:${await listen(overHttps('queue'))}`,
    kubernetesUrl: `https://localhost:${await listen(overHttps('API server'))}`,
  };
}

describe('security does not downgrade silently by NODE_TLS_REJECT_UNAUTHORIZED=0, which was set for something else', () => {
  test('mail server, database, queue and API server have to prove who they are', async () => {
    const { heard, smtpUrl, databaseUrl, sqsUrl, kubernetesUrl } = await startImpostors();
    const urls = [smtpUrl, `${databaseUrl}?sslmode=verify-full`, sqsUrl, kubernetesUrl];
    const { stdout } = await run(process.execPath, [script, ...urls], {
      env: { PATH: process.env['PATH'] ?? '', NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    });
    const refused = expect.stringMatching(/CERT_HAS_EXPIRED|DEPTH_ZERO_SELF_SIGNED_CERT/);
    expect(JSON.parse(stdout)).toEqual([refused, refused, refused, refused]);
    expect(heard).toEqual([]);
  });

  test('a database whose address says in words that it need not is spoken to', async () => {
    const { heard, smtpUrl, databaseUrl, sqsUrl, kubernetesUrl } = await startImpostors();
    await run(
      process.execPath,
      [script, smtpUrl, `${databaseUrl}?sslmode=no-verify`, sqsUrl, kubernetesUrl],
      {
        env: { PATH: process.env['PATH'] ?? '' },
      },
    );
    expect(heard).toEqual(['database start-up']);
  });
});
