import { GetQueueUrlCommand } from '@aws-sdk/client-sqs';
import { createMailer } from '../../services/consumer/mailer.ts';
import { createDatabase } from '../../services/database/client.ts';
import { pingDatabase } from '../../services/database/ping.ts';
import { createQueueClients } from '../../services/queue/sqs.ts';
import { ApiClient } from '../../services/reconciler/kubernetes/api-client.ts';
import { parseSmtpUrl } from '../../services/runtime/smtp-url.ts';

/** Asks a mail server, a database, a queue service and an API server of Kubernetes, and prints for each whether it was spoken to, or why not. */
const [smtpUrl = '', databaseUrl = '', sqsUrl = '', kubernetesUrl = ''] = process.argv.slice(2);

async function askMailServer(): Promise<string> {
  const server = parseSmtpUrl(smtpUrl);
  if ('problem' in server) return server.problem;
  const [name, address, domain] = ['Gifts', 'gifts@example.com', 'example.com'];
  const ms = 5_000;
  const times = { connect: ms, greeting: ms, command: ms, data: ms, content: ms, acceptance: ms };
  const mailer = createMailer({ server, from: { name, address, domain }, maxConnections: 1, times });
  const mail = { to: 'ada@example.org', messageId: 'dlv_1@example.com', subject: 's', text: 't', html: 'h' };
  const result = await mailer.send(mail, new AbortController().signal);
  mailer.close();
  return result.ok ? 'spoken to' : codesOf(result.error);
}

async function askDatabase(): Promise<string> {
  const database = createDatabase({ connectionString: databaseUrl, poolMax: 1, applicationName: 'test' });
  const answer = await pingDatabase(database.db).then(() => 'spoken to', codesOf);
  await database.db.destroy();
  return answer;
}

async function askQueue(): Promise<string> {
  const credentials = { accessKeyId: 'x', secretAccessKey: 'x' };
  const clients = createQueueClients({ region: 'eu-central-1', endpoint: sqsUrl, credentials });
  const asked = clients.settling.send(new GetQueueUrlCommand({ QueueName: 'gifts' }));
  const answer = await asked.then(() => 'spoken to', codesOf);
  clients.destroy();
  return answer;
}

async function askApiServer(): Promise<string> {
  const credentials = async () => ({ headers: { authorization: 'Bearer secret' } });
  const client = new ApiClient({ server: new URL(kubernetesUrl), namespace: 'gifts', credentials });
  const asked = client.request({ method: 'GET', path: '/version' });
  const answer = await asked.then(() => 'spoken to', codesOf);
  client.close();
  return answer;
}

function codesOf(error: unknown): string {
  const { code, originalCode, cause } = error as { code?: string; originalCode?: string; cause?: unknown };
  return originalCode ?? code ?? (cause === undefined ? String(error) : codesOf(cause));
}

process.stdout.write(
  JSON.stringify([await askMailServer(), await askDatabase(), await askQueue(), await askApiServer()]),
);
