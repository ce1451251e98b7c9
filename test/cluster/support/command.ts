import { spawn } from 'node:child_process';

/** Runs a program to its end. @returns what it printed. @throws Error with what it said when it fails */
export function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
    });
  }
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(said.stdout);
      else
        reject(new Error(`${command} ${args.join(' ')} ended with ${code}:\n${said.stderr}${said.stdout}`));
    });
  });
}

export const helm = (...args: string[]) => run('helm', args);
