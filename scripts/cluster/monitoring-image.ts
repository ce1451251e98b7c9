import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashOf, isKnown, remember } from './known-images.ts';

export const MONITORING_IMAGE = 'largesse-monitoring:dev';

const PROGRAMS = ['prometheus', 'alertmanager'];
const BASE = 'node:24-bookworm-slim';

/** The programs of the machine that the image is made of; undefined where one is missing. */
export function monitoringPrograms(): string[] | undefined {
  const found = PROGRAMS.map((name) => spawnSync('which', [name], { encoding: 'utf8' }).stdout.trim());
  return found.every(Boolean) ? found.map((path) => realpathSync(path)) : undefined;
}

/** Prometheus and Alertmanager in an image, for the tests of the alerts. Without them those tests are left out. @returns whether all went well */
export function buildMonitoringImage(env: NodeJS.ProcessEnv): boolean {
  const programs = monitoringPrograms();
  if (programs === undefined) return true;
  const hash = hashOf(programs);
  if (isKnown(MONITORING_IMAGE, hash)) return true;
  const folder = mkdtempSync(join(tmpdir(), 'largesse-monitoring-'));
  try {
    for (const [index, path] of programs.entries()) copyFileSync(path, join(folder, PROGRAMS[index] ?? ''));
    writeFileSync(
      join(folder, 'Dockerfile'),
      `FROM ${BASE}\nCOPY ${PROGRAMS.join(' ')} /usr/local/bin/\nUSER 10001:10001\n`,
    );
    const tools = env['CLUSTER_TOOLS'];
    const [command, ...args] = tools
      ? [join(tools, 'build-image'), folder, MONITORING_IMAGE]
      : ['docker', 'build', '--tag', MONITORING_IMAGE, folder];
    if (spawnSync(command, args, { stdio: 'inherit' }).status !== 0) return false;
    remember(MONITORING_IMAGE, hash);
    return true;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
