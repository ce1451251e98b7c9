/**
 * `npm run smoke`: what a newcomer does, from nothing. Clones this repository to a temporary folder, types `npm start`,
 * pastes the command that it prints, reads the mail, opens its link, presses Ctrl-C; then does it once more to see that
 * everything was kept. Ends with exit code 0 only when all of it worked.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Session, startSession } from './embedded/smoke-session.ts';

const folder = mkdtempSync(join(tmpdir(), 'largesse-smoke-'));
// Temporary folders are their owner's alone: as root, the database's user could not enter it.
chmodSync(folder, 0o755);
const clone = join(folder, 'largesse');
const startedAt = performance.now();
let session: Session | undefined;
try {
  execFileSync('git', ['clone', '--quiet', process.cwd(), clone], { stdio: 'inherit' });
  session = await startSession(clone);
  await giveAndClaim(session);
  check(
    'a second npm start says that it already runs',
    (await session.runNpm('start')).includes('already runs'),
  );
  check(
    'the reconciler runs on demand',
    (await session.runNpm('run', 'reconcile', '--', '--dry-run')).length > 0,
  );
  await breakAndMend(session);
  check('Ctrl-C ends it with exit code 0', (await session.interrupt()) === 0);

  session = await startSession(clone);
  check('a second start finds the gift again', (await session.paste("curl -sS 'http")).includes('gft_'));
  check('and stops cleanly again', (await session.interrupt()) === 0);
  console.log(`npm start works from nothing (${Math.round((performance.now() - startedAt) / 1000)} s).`);
} catch (error) {
  console.error(`\nThe smoke test failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  session?.kill();
  rmSync(folder, { recursive: true, force: true });
}

async function giveAndClaim(running: Session): Promise<void> {
  const accepted = await running.paste('-X POST');
  check('the printed command sends a gift', accepted.includes('"id":"gft_'));
  const link = await running.claimLinkFromMail();
  check('a mail with a claim link arrives', link !== undefined);
  const page = await fetch(link ?? '', { signal: AbortSignal.timeout(10_000) });
  check('the claim page opens', page.ok && (await page.text()).includes('<html'));
}

/** The section "Break it" of README.md, command by command, over more than the minute in which the reconciler would run. */
async function breakAndMend(running: Session): Promise<void> {
  const readme = readFileSync('README.md', 'utf8');
  const [, section = ''] = readme.split('**Break it.**');
  for (const command of ['npm run mail -- stop', 'npm run reconcile -- --dry-run', 'npm run mail -- start']) {
    check(`README.md says ${command}`, section.includes(command));
  }
  await running.runNpm('run', 'mail', '--', 'stop');
  for (let gift = 0; gift < 3; gift += 1) await running.paste('-X POST');
  const shown = await untilShown(running, 'scanned 3 ');
  const [, table = ''] = section.split('```\n\n```\n');
  check('the table of README.md is what one gets', shapeOf(shown) === shapeOf(table.split('\n```')[0] ?? ''));
  const later = await untilShown(running, 'scanned 3 ');
  check('and gets again, for as long as the mail server is away', shapeOf(later) === shapeOf(shown));
  await running.runNpm('run', 'mail', '--', 'start');
  const gifts = await untilDelivered(running);
  check('every gift is delivered once the mail server is back', gifts.length === 4);
}

/** What differs from run to run, as one sign each: ids, ages, and the width of their columns. */
function shapeOf(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('>'))
    .join('\n')
    .replaceAll(/gft_\w+/g, 'gft')
    .replaceAll(/\b\d+(?:s|m \d+s|m)\b/g, 'AGE')
    .replaceAll(/ {2,}/g, '  ');
}

async function untilShown(running: Session, text: string): Promise<string> {
  return await until(async () => {
    const shown = await running.runNpm('run', '--silent', 'reconcile', '--', '--dry-run');
    return shown.includes(text) && !shown.includes(' wait ') ? shown : undefined;
  }, `npm run reconcile -- --dry-run shows "${text}"`);
}

async function untilDelivered(running: Session): Promise<unknown[]> {
  return await until(async () => {
    const { data } = JSON.parse(await running.paste("curl -sS 'http")) as { data: { state: string }[] };
    return data.every(({ state }) => state === 'delivered') ? data : undefined;
  }, 'the gifts are delivered');
}

async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + 180_000;
  while (performance.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await wait(1_000);
  }
  throw new Error(`not so in three minutes: ${what}`);
}

function check(what: string, holds: boolean): void {
  if (!holds) throw new Error(`not so: ${what}`);
  console.log(`✔ ${what}`);
}
