import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

export type SchemathesisRun = { cases: number; failed: boolean; output: string };

export type Schemathesis = (run: {
  url: string;
  key: string;
  casesPerOperation: number;
  seconds: number;
  seed: number;
}) => Promise<SchemathesisRun>;

/** Installs schemathesis into the user's cache, once per version. @throws Error when there is no Python, or no registry */
export async function prepareSchemathesis(): Promise<Schemathesis> {
  const requirements = resolve('test/fuzz/requirements.txt');
  const [version = 'unknown'] = /\d[\d.]*/.exec(await readFile(requirements, 'utf8')) ?? [];
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const folder = join(cache, 'largesse', `schemathesis-${version}`);
  const program = join(folder, 'bin', 'schemathesis');
  if (!existsSync(program)) {
    await run('python3', ['-m', 'venv', folder]);
    await run(join(folder, 'bin', 'pip'), ['install', '--quiet', '--requirement', requirements]);
  }
  return (asked) => runOnce(program, asked);
}

const run = promisify(execFile);

/** What a schema can't say is judged by checks.py. Nothing is ever deleted here, so nothing can be used after it. */
const excluded = 'positive_data_acceptance,use_after_free,ensure_resource_availability';

async function runOnce(program: string, asked: Parameters<Schemathesis>[0]): Promise<SchemathesisRun> {
  const args = [
    ...['run', `${asked.url}/openapi.json`, '--url', asked.url, '--seed', String(asked.seed)],
    ...['--checks', 'all', '--exclude-checks', excluded, '--phases', 'examples,coverage,fuzzing'],
    ...['--max-examples', String(asked.casesPerOperation), '--max-time', String(asked.seconds)],
    ...['--continue-on-failure', '--suppress-health-check', 'all', '--workers', '2', '--warnings', 'off'],
  ];
  const env = {
    ...process.env,
    SCHEMATHESIS_HOOKS: resolve('test/fuzz/checks.py'),
    LARGESSE_KEY: asked.key,
    PYTHONDONTWRITEBYTECODE: '1',
  };
  // It keeps what it met in its working directory.
  const cwd = dirname(dirname(program));
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += String(chunk);
    });
  }
  const code = await new Promise<number | null>((done) => child.once('close', done));
  const [, cases = '0'] = /Test cases:\s+(\d+) generated/.exec(output) ?? [];
  return { cases: Number(cases), failed: code !== 0, output };
}
