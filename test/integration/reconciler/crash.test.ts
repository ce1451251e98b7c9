import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { newUuid } from '../../../services/domain/ids.ts';
import { defaultPolicy } from '../../../services/reconciler/default-policy.ts';
import { eventually } from '../../support/eventually.ts';
import { hang } from '../../support/faults.ts';
import { callSqs } from '../../support/queue-pair.ts';
import { bury, buryGifts, contents, deadGifts, openScene, type Scene } from './setup.ts';

let scene: Scene;
let folder: string;
const started: ChildProcess[] = [];

beforeAll(async () => {
  scene = await openScene();
  folder = await mkdtemp(join(tmpdir(), 'largesse-reconciler-'));
});
beforeEach(() => scene.reset());
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  await rm(folder, { recursive: true });
  await scene.close();
});

type Ended = { code: number | null; signal: string | null; stdout: string; stderr: string };

/** The real program, with a policy without minimum age. */
async function reconciler(
  args: string[] = [],
  { ratePerSecond = 10_000, env = {} }: { ratePerSecond?: number; env?: Record<string, string> } = {},
): Promise<{ child: ChildProcess; ended: Promise<Ended> }> {
  const { spec } = defaultPolicy;
  const rules = spec.rules.map((rule) =>
    rule.name === 'transient' ? { ...rule, match: { classes: ['transient'] } } : rule,
  );
  const file = join(folder, `policy-${newUuid()}.json`);
  await writeFile(
    file,
    JSON.stringify({ ...defaultPolicy, spec: { ...spec, limits: { ratePerSecond }, rules } }),
  );
  const child = spawn(process.execPath, ['services/reconciler/main.ts', ...args], {
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: scene.database.url,
      AWS_REGION: scene.emulator.region,
      AWS_ENDPOINT_URL_SQS: scene.proxy.endpoint,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      GIFTS_QUEUE_NAME: scene.queue.name,
      DEAD_LETTER_POLICY_FILE: file,
      LOG_FORMAT: 'json',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output.stderr += chunk;
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ ...output, code, signal }) as Ended);
  return { child, ended };
}

/** What time does in production: the dead holder's lease runs out and its messages become visible. */
async function letTimePass(): Promise<void> {
  await sql`update reconciler_leases set expires_at = clock_timestamp()`.execute(scene.deps.db);
  const { inflight } = await scene.emulator.inspect(scene.queue.deadLetterName);
  for (const { receiptHandle } of inflight) {
    await callSqs(scene.emulator, 'ChangeMessageVisibility', {
      QueueUrl: scene.queue.deadLetterUrl,
      ReceiptHandle: receiptHandle,
      VisibilityTimeout: 0,
    });
  }
}

const logLines = ({ stdout }: Ended) =>
  stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the program', () => {
  test('P34: killed after the send and before the delete, it repeats a message at most once and loses none', async () => {
    const ids = await deadGifts(scene, 15);
    await buryGifts(scene, ids);
    scene.proxy.inject({ operation: 'DeleteMessageBatch', fault: hang() });
    const first = await reconciler();
    await eventually(() => expect(scene.proxy.open('DeleteMessageBatch').length).toBeGreaterThan(0));
    first.child.kill('SIGKILL');
    expect(await first.ended).toMatchObject({ signal: 'SIGKILL' });
    expect((await contents(scene, 'dead-letters')).inFlight).toHaveLength(15);

    scene.proxy.heal();
    const blocked = await (await reconciler()).ended;
    expect(blocked.code).toBe(1);
    expect(blocked.stdout).toContain('works on gifts, started');

    await letTimePass();
    const second = await (await reconciler()).ended;
    expect(second).toMatchObject({ code: 0, stderr: '' });
    expect(await contents(scene, 'dead-letters')).toEqual({ ready: [], inFlight: [] });
    const sent = (await contents(scene, 'queue')).ready;
    const copies = ids.map((id) => sent.filter((other) => other === id).length);
    expect(Math.min(...copies)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...copies)).toBeLessThanOrEqual(2);
    const runs = await scene.deps.db
      .selectFrom('reconciler_runs')
      .select('outcome')
      .orderBy('started_at')
      .execute();
    expect(runs.map(({ outcome }) => outcome)).toEqual(['interrupted', 'converged']);
    const rows = await scene.deps.db.selectFrom('dead_letters').select('applied_at').execute();
    expect(rows.map(({ applied_at }) => applied_at)).toEqual(ids.map(() => expect.any(Date)));
  }, 60_000);

  test('P40: paused, robbed of its lease and woken, it sends nothing and exits 1', async () => {
    const ids = await deadGifts(scene, 40);
    await buryGifts(scene, ids);
    const { child, ended } = await reconciler([], { ratePerSecond: 20 });
    await eventually(async () => expect((await contents(scene, 'queue')).ready).toHaveLength(10));
    child.kill('SIGSTOP');
    await sql`update reconciler_leases set holder = ${newUuid()}, token = token + 1`.execute(scene.deps.db);
    child.kill('SIGCONT');
    expect((await ended).code).toBe(1);
    expect((await contents(scene, 'queue')).ready).toHaveLength(10);
  }, 60_000);

  test('SIGTERM ends it at the next batch with exit code 1, and everything else is visible again', async () => {
    await buryGifts(scene, await deadGifts(scene, 40));
    const { child, ended } = await reconciler([], { ratePerSecond: 20 });
    await eventually(async () => expect((await contents(scene, 'queue')).ready.length).toBeGreaterThan(0));
    child.kill('SIGTERM');
    const { code, stderr } = await ended;
    expect(stderr).toBe('');
    expect(code).toBe(1);
    const left = await contents(scene, 'dead-letters');
    expect(left.inFlight).toEqual([]);
    expect(left.ready.length + (await contents(scene, 'queue')).ready.length).toBe(40);
  }, 60_000);

  test('exit codes and output: table for a person, JSON lines for machines, clear words for mistakes', async () => {
    const ids = await deadGifts(scene, 2);
    await buryGifts(scene, ids);
    await bury(scene, [{ body: 'ada@example.com is no message' }]);
    const dry = await (await reconciler(['--dry-run'], { env: { LOG_FORMAT: 'pretty' } })).ended;
    expect(dry.code).toBe(2);
    expect(dry.stdout).toContain('MESSAGE');
    expect(dry.stdout).toMatch(
      new RegExp(`gift\\.deliver:${ids[0]} +transient +queued +\\w+ +0 +redrive +transient`),
    );
    expect(dry.stdout).toContain('scanned 3   redriven 2   quarantined 1');

    const real = await (await reconciler()).ended;
    expect(real.code).toBe(2);
    const lines = logLines(real);
    expect(lines.filter(({ event }) => event === 'dead_letter')).toHaveLength(3);
    expect(lines.find(({ gift_id }) => gift_id === ids[0])).toMatchObject({
      verdict: 'redrive',
      request_id: 'req-1',
    });
    expect(lines.find(({ marker }) => marker === '[METRICS]')).toMatchObject({ redriven: 2, quarantined: 1 });
    expect(real.stdout).not.toContain('ada@example.com');

    const unknown = await (await reconciler(['--dryrun'])).ended;
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('--dryrun');
    const missing = await (await reconciler(['--policy', join(folder, 'nowhere.yaml')])).ended;
    expect(missing.code).toBe(2);
    expect(missing.stdout).toContain('nowhere.yaml');
    const noQueue = await (await reconciler([], { env: { GIFTS_QUEUE_NAME: scene.queue.deadLetterName } }))
      .ended;
    expect(noQueue.code).toBe(2);
    expect(noQueue.stdout).toContain('has no redrive policy');
  }, 60_000);
});
