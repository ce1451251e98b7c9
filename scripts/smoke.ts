/**
 * `npm run smoke`: what a newcomer does, from nothing. Clones this repository to a temporary folder, types `npm start`,
 * pastes the command that it prints, reads the mail, opens its link, presses Ctrl-C; then does it once more to see that
 * everything was kept. Ends with exit code 0 only when all of it worked.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

function check(what: string, holds: boolean): void {
  if (!holds) throw new Error(`not so: ${what}`);
  console.log(`✔ ${what}`);
}
