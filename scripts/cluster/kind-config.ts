import { spawnSync } from 'node:child_process';
import { CONFIG } from './kind.ts';

/** kind has no command that only reads a configuration: asked to make a cluster where there is no docker, it reads it and makes none. @returns what is wrong */
export function kindConfigProblem(config = CONFIG): string {
  const { stdout: program } = spawnSync('sh', ['-c', 'command -v kind'], { encoding: 'utf8' });
  const args = ['create', 'cluster', '--config', config];
  const { stderr } = spawnSync(program.trim(), args, { encoding: 'utf8', env: { PATH: '/nowhere' } });
  return /unable to decode config.*|invalid .*/is.exec(stderr)?.[0] ?? '';
}
