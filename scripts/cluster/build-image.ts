import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Source } from './source.ts';

export interface ImageRequest {
  /** `name:tag` */
  name: string;
  dockerfile: string;
  /** Folder that the Dockerfile copies from: the clone, if no other. Its .dockerignore says what of it is seen. */
  context?: string;
  source: Source;
}

/** Builds with the cluster's own builder where there is one (and so into the cluster), else with docker. @returns the image's id */
export function buildImage(request: ImageRequest, env: NodeJS.ProcessEnv): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'largesse-image-'));
  const idFile = join(folder, 'id');
  try {
    const [command, ...args] = buildCommand(request, idFile, env);
    const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
    if (error !== undefined) console.error(`${command} can not be run: ${error.message}`);
    return status === 0 ? readFileSync(idFile, 'utf8').trim() : undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Both take the same options, but for how the time of all files is set. */
export function buildCommand(
  { name, dockerfile, context = '.', source }: ImageRequest,
  idFile: string,
  env: NodeJS.ProcessEnv,
): [string, ...string[]] {
  const values = {
    SOURCE_DATE_EPOCH: String(source.epochSeconds),
    VERSION: source.version,
    REVISION: source.revision,
    CREATED: new Date(source.epochSeconds * 1_000).toISOString(),
    ...(env['BASE'] ? { BASE: env['BASE'] } : {}),
  };
  const options = [
    '--file',
    dockerfile,
    '--iidfile',
    idFile,
    ...Object.entries(values).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
    // The Dockerfile makes labels of the same, but buildah takes a label from its cache though the argument in it changed.
    ...Object.entries({
      version: source.version,
      revision: source.revision,
      created: values.CREATED,
    }).flatMap(([key, value]) => ['--label', `org.opencontainers.image.${key}=${value}`]),
  ];
  const tools = env['CLUSTER_TOOLS'];
  return tools
    ? [join(tools, 'build-image'), context, name, ...options, '--timestamp', String(source.epochSeconds)]
    : [
        'docker',
        'buildx',
        'build',
        context,
        ...options,
        '--output',
        `type=docker,name=${name},rewrite-timestamp=true`,
      ];
}
