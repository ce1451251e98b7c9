import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, resolve } from 'node:path';
import { NODE_BINARY } from './installed.mjs';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Runs scripts/<name>.ts, or else the tool node_modules/.bin/<name>; resolves with the exit code to end with. */
export function runOnInstalledNode(name, args) {
  const [command, ...leading] = commandFor(name);
  const env = { ...process.env, PATH: [resolve('node_modules/.bin'), process.env.PATH].join(delimiter) };
  return new Promise((done) => {
    const child = spawn(command, [...leading, ...args], { stdio: 'inherit', env });
    // A terminal signals the whole group, npm and `kill` only one process: whoever gets it hands it on, and ends
    // only with the child, so that nobody returns to the prompt while something is still being stopped.
    for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
    child.once('error', (error) => {
      console.error(`Cannot run ${command}: ${error.message}`);
      done(1);
    });
    child.once('close', (code, signal) => done(code ?? 128 + (constants.signals[signal] ?? 1)));
  });
}

function commandFor(name) {
  const node = resolve(NODE_BINARY);
  if (existsSync(`scripts/${name}.ts`))
    return [node, '--disable-warning=ExperimentalWarning', `scripts/${name}.ts`];
  const tool = resolve('node_modules/.bin', name);
  if (!existsSync(tool)) {
    console.error(`There is no scripts/${name}.ts and no node_modules/.bin/${name}.`);
    process.exit(2);
  }
  const isScript = readFileSync(tool).subarray(0, 2).toString() === '#!';
  return isScript ? [node, tool] : [tool];
}
