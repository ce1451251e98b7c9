import { readFileSync } from 'node:fs';
import { parseEnv as parseEnvFile } from 'node:util';
import { expect, test } from '@jest/globals';
import { isExternal, roleEnvironment, toEnvFile } from '../../../scripts/embedded/environment.ts';
import { movedPorts } from '../../../scripts/embedded/ports.ts';
import { isUneventful, reconcileEveryMinute } from '../../../scripts/embedded/reconciling.ts';
import { describeSystem, withoutPassword } from '../../../scripts/embedded/report.ts';
import { apiPart, consumerPart } from '../../../scripts/embedded/servers.ts';
import { commandWith } from '../../../scripts/embedded/smoke-session.ts';
import { parsePolicies } from '../../../services/reconciler/policy-text.ts';

const settings = {
  backing: {
    databaseUrl: 'postgres://largesse:secret@127.0.0.1:5001/largesse',
    queueEndpoint: 'http://127.0.0.1:5002',
    smtpUrl: 'smtp://127.0.0.1:1025',
  },
  apiUrl: 'http://localhost:8080',
  keyringFile: '/clone/.largesse/keyring.json',
};

const ports = {
  api: 8081,
  apiMetrics: 9090,
  consumerMetrics: 9190,
  mailWeb: 1080,
  smtp: 1025,
  postgres: 0,
  sqs: 5002,
};

test('what a person sets wins over the values of the demonstration', () => {
  const environment = roleEnvironment(settings, { MAX_RETRY_COUNT: '9', LOG_LEVEL: ' ', UNRELATED: 'x' });
  expect(environment['MAX_RETRY_COUNT']).toBe('9');
  expect(environment['LOG_LEVEL']).toBe('info');
  expect(environment).not.toHaveProperty('UNRELATED');
});

test('a program may take as long to stop as it was granted, and a little to leave', () => {
  const granted = roleEnvironment(settings, { SHUTDOWN_GRACE_SECONDS: '25' });
  for (const makePart of [apiPart, consumerPart]) {
    expect(makePart(ports, granted).stopTimeoutMs).toBe(27_000);
    expect(makePart(ports, roleEnvironment(settings, {})).stopTimeoutMs).toBe(8_000);
  }
});

test('the embedded emulator never sees real credentials, and an exported HOST opens no port to others', () => {
  const outer = {
    AWS_PROFILE: 'work',
    AWS_ACCESS_KEY_ID: 'AKIAREAL',
    AWS_SESSION_TOKEN: 't',
    HOST: 'my-laptop',
  };
  const environment = roleEnvironment(settings, outer);
  expect(environment).toMatchObject({
    AWS_ACCESS_KEY_ID: 'embedded',
    AWS_PROFILE: '',
    AWS_SESSION_TOKEN: '',
    HOST: '127.0.0.1',
  });
});

test('queues of one’s own keep the credentials of one’s own', () => {
  const outer = { AWS_ENDPOINT_URL_SQS: 'https://sqs.eu-central-1.amazonaws.com', AWS_PROFILE: 'work' };
  expect(isExternal('sqs', outer)).toBe(true);
  expect(roleEnvironment(settings, outer)).not.toHaveProperty('AWS_PROFILE');
});

test('the file for --env-file gives back every value as it was', () => {
  const environment = {
    A: 'plain',
    B: `it's`,
    C: 'a "quoted" word',
    D: 'Largesse <gifts@largesse.example>',
    E: '',
  };
  expect(parseEnvFile(toEnvFile(environment))).toEqual(environment);
});

test('the summary shows where things are and keeps the password of a foreign database to itself', () => {
  const environment = roleEnvironment(settings, {});
  const demo = { senderId: 'sen_1', key: 'the-demo-key', adminKey: 'the-admin-key' };
  const text = describeSystem({ ports, environment, demo, outer: { DATABASE_URL: 'set' } });
  expect(text).toContain('http://localhost:8081/docs');
  expect(text).toContain('Bearer the-demo-key');
  expect(text).toContain('http://localhost:1080');
  expect(text).not.toContain('the-admin-key');
  expect(text).not.toContain('secret');
  expect(withoutPassword('postgres://me:secret@db/x')).toBe('postgres://me:***@db/x');
});

test('the policy of npm start is one that the reconciler takes', () => {
  const file = 'scripts/embedded/dead-letter-policy.yaml';
  expect(parsePolicies(readFileSync(file, 'utf8'), file)).toMatchObject([{ queue: 'gifts' }]);
});

test('a reconciliation is worth showing when something was found, mended or wrong', () => {
  const idle = [
    'Run of policy p on queue gifts',
    '',
    'No dead letters.',
    '',
    'scanned 0   redriven 0',
    'Converged.',
  ];
  const run = (code: number, ...more: string[]) => ({ code, output: '', lines: [...idle, ...more] });
  expect(isUneventful(run(0))).toBe(true);
  expect(isUneventful(run(1))).toBe(false);
  expect(isUneventful(run(0, 'requeued gifts 1'))).toBe(false);
  expect(isUneventful({ code: 0, output: '', lines: ['scanned 1   redriven 1'] })).toBe(false);
});

test('the printed commands can be found whole, over their continued lines', () => {
  const printed =
    "Send:\n  curl -X POST 'u' \\\n    -H 'a' \\\n    -d '{}'\n\nLook:\n  curl 'u/v1/gifts' -H 'b'\n  other";
  expect(commandWith(printed, 'POST')).toBe("curl -X POST 'u' \\\n    -H 'a' \\\n    -d '{}'");
  expect(commandWith(printed, '/v1/gifts')).toBe("curl 'u/v1/gifts' -H 'b'");
  expect(() => commandWith(printed, 'DELETE')).toThrow('no printed command');
});

test('every port that is not where people look for it is announced, but for those of servers of one’s own', () => {
  const chosen = { ...ports, api: 8081, apiMetrics: 9091, consumerMetrics: 9190, mailWeb: 1081, smtp: 1026 };
  expect(movedPorts({ postgres: 5555 }, { ...chosen, postgres: 5556 }, {})).toEqual([
    'Port 8080 is taken: the API listens on 8081 instead.',
    'Port 9090 is taken: the metrics page of the API listens on 9091 instead.',
    'Port 1080 is taken: the mail catcher listens on 1081 instead.',
    'Port 1025 is taken: the SMTP port of the mail catcher listens on 1026 instead.',
    'Port 5555 is taken: PostgreSQL listens on 5556 instead.',
  ]);
  const own = { SMTP_URL: 'smtp://mail', DATABASE_URL: 'postgres://db/x' };
  expect(movedPorts({ postgres: 5555 }, { ...chosen, api: 8080, apiMetrics: 9090 }, own)).toEqual([]);
});

test('the summary promises dead letters within half a minute only where a mail server that is away pauses nothing', () => {
  const demo = { senderId: 'sen_1', key: 'k', adminKey: 'a' };
  const told = (outer: NodeJS.ProcessEnv) =>
    describeSystem({ ports, environment: roleEnvironment(settings, outer), demo, outer });
  expect(told({})).toContain('dead-lettered within half a minute');
  for (const outer of [{ SMTP_URL: 'smtp://mail' }, { MAIL_PAUSE: 'on' }]) {
    expect(told(outer)).not.toContain('within half a minute');
    expect(told(outer)).toContain('while the mail server is away, gifts wait');
  }
  expect(told({ SMTP_URL: 'smtp://mail' })).toContain('?tls=none');
});

test('the summary says what is true of servers of one’s own', () => {
  const outer = { SMTP_URL: 'smtp://me:hunter2@mail', AWS_ENDPOINT_URL_SQS: 'http://key:hunter2@sqs:4566' };
  const environment = roleEnvironment(
    {
      ...settings,
      backing: { ...settings.backing, smtpUrl: outer.SMTP_URL, queueEndpoint: outer.AWS_ENDPOINT_URL_SQS },
    },
    outer,
  );
  const demo = { senderId: 'sen_1', key: 'the-demo-key', adminKey: 'the-admin-key' };
  const text = describeSystem({ ports, environment, demo, outer });
  expect(text).not.toContain('mail catcher');
  expect(text).not.toContain('npm run mail');
  expect(text).not.toContain('hunter2');
  expect(text).toContain(
    'Ctrl-C stops all of it but your own queues and mail server; what is embedded is kept',
  );
});

test('while the mail server is stopped on demand no reconciliation takes the letters; afterwards one runs at once', async () => {
  const runs: string[] = [];
  const hold = Promise.withResolvers<void>();
  const oneShots = {
    run: async ([program = '']: string[]) => {
      runs.push(program);
      if (runs.length === 1) await hold.promise;
      return { code: 0, output: '', lines: ['No dead letters.'] };
    },
  };
  const quiet = { say: () => undefined, warn: () => undefined, log: () => undefined };
  const reconciling = reconcileEveryMinute(oneShots as never, {}, quiet as never);
  reconciling.resume();
  let paused = false;
  const pausing = reconciling.pause().then(() => {
    paused = true;
  });
  await Promise.resolve();
  // One that runs already is waited for: it would take what comes in meanwhile.
  expect(paused).toBe(false);
  hold.resolve();
  await pausing;
  expect(runs).toHaveLength(1);
  reconciling.resume();
  expect(runs).toHaveLength(2);
  reconciling.stop();
});
