import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ColdStarts, coldStartScript, describeColdStarts } from '../support/cold-starts.ts';

const ROLES = ['api', 'consumer', 'reconciler', 'admin'];

const built = spawnSync(process.execPath, ['scripts/build.ts'], { stdio: ['ignore', 'ignore', 'inherit'] });
if (built.status !== 0) throw new Error('the bundles can not be built');
const cache = mkdtempSync(join(tmpdir(), 'largesse-compile-cache-'));
try {
  const env = { ...process.env, NODE_COMPILE_CACHE: cache };
  // As the Dockerfile does it.
  for (const role of ROLES)
    spawnSync(process.execPath, ['--predictable', `dist/${role}.js`, '--help'], { env, stdio: 'ignore' });
  for (const [what, environment] of [
    ['as in the image', env],
    ['without what V8 compiled before', { ...env, NODE_DISABLE_COMPILE_CACHE: '1' }],
  ] as const) {
    const script = ['--input-type=module', '--eval', coldStartScript];
    const { stdout } = spawnSync(process.execPath, script, { env: environment, encoding: 'utf8' });
    console.log(`${what}:\n${describeColdStarts(JSON.parse(stdout) as ColdStarts)}`);
  }
} finally {
  rmSync(cache, { recursive: true });
}
