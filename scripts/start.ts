/** `npm start`: the whole system on this machine, from nothing, until Ctrl-C. */
import { askRunning, type ControlCommand, claimControl } from './embedded/control.ts';
import { makeFolder } from './embedded/folder.ts';
import { PartFailed } from './embedded/part.ts';
import { createProgress, type Progress } from './embedded/progress.ts';
import { StoppedWhileStarting, Supervisor } from './embedded/supervisor.ts';

/** npm and the terminal both pass a Ctrl-C on: what comes this close to the first one is the same wish. */
const SAME_SIGNAL_MS = 1_500;

surviveTheTerminal();
const progress = createProgress();
const supervisor = new Supervisor(progress, process.env);
process.exitCode = await main();
// Sockets of the servers that were stopped may linger in pools: nothing is left that is worth waiting for.
process.exit();

/** A closed terminal, or a `| tee` that Ctrl-C ended, fails every write: that must not end us before the parts. */
function surviveTheTerminal(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}

async function main(): Promise<number> {
  makeFolder();
  const done = Promise.withResolvers<void>();
  const release = await claimControl((command) => answer(command, done.resolve));
  if (release === undefined) return alreadyRunning();
  stopOnSignals(done.resolve);
  const started = supervisor.start().then(() => progress.say(`\n${supervisor.summary}\n`));
  try {
    await Promise.race([done.promise, started]);
    await done.promise;
    progress.say('');
    await supervisor.stop();
    progress.say('Stopped. npm start finds everything again.');
    return 0;
  } catch (error) {
    if (!(error instanceof StoppedWhileStarting)) explain(error, progress);
    await supervisor.stop();
    return 1;
  } finally {
    release();
  }
}

async function answer(command: ControlCommand, stop: () => void): Promise<string> {
  switch (command) {
    case 'status':
      return supervisor.summary;
    case 'mail start':
      return supervisor.switchMail('start');
    case 'mail stop':
      return supervisor.switchMail('stop');
    case 'stop':
      stop();
      await supervisor.stop();
      return 'Largesse has stopped.';
    default:
      throw new Error(`Unknown command: ${command satisfies never}`);
  }
}

async function alreadyRunning(): Promise<number> {
  const status = await askRunning('status');
  console.log(
    'Largesse already runs from this clone; nothing was started. Stop it with Ctrl-C there, or npm stop.\n',
  );
  console.log(status?.text ?? '');
  return 0;
}

function stopOnSignals(stop: () => void): void {
  let firstAt: number | undefined;
  const onSignal = () => {
    firstAt ??= performance.now();
    stop();
    if (performance.now() - firstAt < SAME_SIGNAL_MS) return;
    progress.warn('Asked again: killing what is left. The data are safe; the next npm start recovers them.');
    supervisor.kill();
    process.exit(130);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
}

function explain(error: unknown, { warn, say }: Progress): void {
  warn(`\nLargesse could not start: ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof PartFailed && error.lastLines.length > 0) {
    say(`The last that ${error.part} said:\n${error.lastLines.map((line) => `  ${line}`).join('\n')}`);
  }
}
