/**
 * The first thing every npm script runs: plain JavaScript for any Node >= 20. It installs what is missing, then
 * runs the asked script (scripts/<name>.ts) or tool (node_modules/.bin/<name>) on the Node 24 that was installed.
 */
const WANTED = 20;
if (Number(process.versions.node.split('.')[0]) < WANTED) {
  console.error(
    `Largesse needs Node ${WANTED} or newer to start (it then brings its own Node 24), and this is ${process.version}.\n` +
      'Install a newer one from https://nodejs.org or with your version manager, then run the command again.',
  );
  process.exit(1);
}
if (process.platform === 'win32') {
  console.error(
    'Largesse runs on Linux and macOS. On Windows, run it inside WSL: https://learn.microsoft.com/windows/wsl',
  );
  process.exit(1);
}

// A reader that goes away (`npm start | head`) fails every write: that must not end us before what runs below us.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

// Imported only now: an older Node would stop at the syntax of these files with a message that helps nobody.
const { fileURLToPath } = await import('node:url');
process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const { ensureDependencies, InstallFailed } = await import('./bootstrap/dependencies.mjs');
const { runOnInstalledNode } = await import('./bootstrap/run.mjs');

const { insteadOfRunning } = await import('./bootstrap/help.mjs');

const [name = 'start', ...args] = process.argv.slice(2);
const instead = insteadOfRunning(name, args);
if (instead !== undefined) {
  (instead.code === 0 ? console.log : console.error)(instead.text);
  process.exit(instead.code);
}
try {
  await ensureDependencies();
} catch (error) {
  if (!(error instanceof InstallFailed)) throw error;
  console.error(`\n${error.message}`);
  process.exit(1);
}
process.exitCode = await runOnInstalledNode(name, args);
