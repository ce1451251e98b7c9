import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** A clone with the real `npm start`, whose programs are stand-ins: what the supervisor does shows within a second. */
export interface Clone {
  folder: string;
  /** Puts a program in the place of a real one. */
  write(path: string, code: string): void;
  read(path: string): string;
  /** With no outside to start but what `environment` leaves out: database, queue and mail server are somebody's own. */
  start(environment?: NodeJS.ProcessEnv): ChildProcess;
  remove(): void;
}

/** Ends with its clone, so that a test that fails leaves nothing running. */
const LIVE = `
const { existsSync, writeFileSync } = process.getBuiltinModule('node:fs');
const { createServer } = process.getBuiltinModule('node:http');
setInterval(() => existsSync(process.argv[1]) || process.exit(), 50);
const serve = (port) => createServer((_, response) => response.end('{}')).listen(Number(port), '127.0.0.1');
`;

/** Any program that stays; `serve(port)` answers everything with 200. */
export function live(code: string): string {
  return LIVE + code;
}

const OUTSIDE = {
  DATABASE_URL: 'postgres://own.example/largesse?sslmode=disable',
  AWS_ENDPOINT_URL_SQS: 'http://own.example',
  SMTP_URL: 'smtp://own.example',
};

export function makeClone(): Clone {
  const folder = mkdtempSync(join(tmpdir(), 'largesse-start-'));
  const write = (path: string, code: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), code);
  };
  symlinkSync(resolve('scripts'), join(folder, 'scripts'));
  write('services/admin/main.ts', `console.log('made')`);
  write('services/api/main.ts', live('serve(process.env.PORT); serve(process.env.METRICS_PORT);'));
  write('services/consumer/main.ts', live('serve(process.env.METRICS_PORT);'));
  return {
    folder,
    write,
    read: (path) => readFileSync(join(folder, path), 'utf8'),
    start: (environment = {}) =>
      spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'scripts/start.ts'], {
        cwd: folder,
        env: { PATH: process.env['PATH'], ...OUTSIDE, ...environment },
      }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
