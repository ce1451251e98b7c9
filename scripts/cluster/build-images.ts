import { readFileSync } from 'node:fs';
import { type Artifact, readConfigurations } from '../skaffold/configuration.ts';
import { buildImage } from './build-image.ts';
import { IMAGE_TAG } from './image-tag.ts';
import { hashOf, isKnown, remember } from './known-images.ts';
import { previousReleaseSource, withPreviousRelease } from './previous-release.ts';
import { describeSource } from './source.ts';

/** The images of skaffold.yaml and the releases that replace each other. What surrounds the roles is built only where a node lacks it. @returns whether all are there */
export function buildImages(env: NodeJS.ProcessEnv): boolean {
  const artifacts = readConfigurations().flatMap(({ build }) => build.artifacts);
  return (
    artifacts.every((artifact) =>
      artifact.image === 'largesse' ? buildReleases(artifact, env) : buildOnce(artifact, env),
    ) && buildPreviousRelease(env)
  );
}

/** This clone, and the same under another version, which makes it another image: the release that an upgrade brings. */
function buildReleases({ image, docker: { dockerfile } }: Artifact, env: NodeJS.ProcessEnv): boolean {
  const source = describeSource();
  const next = { ...source, version: `${source.version}-next` };
  const name = `${image}:${IMAGE_TAG}`;
  return (
    buildImage({ name, dockerfile, source }, env) !== undefined &&
    buildImage({ name: `${name}-next`, dockerfile, source: next }, env) !== undefined
  );
}

function buildOnce({ image, docker }: Artifact, env: NodeJS.ProcessEnv): boolean {
  const request = { name: `${image}:dev`, dockerfile: docker.dockerfile, source: describeSource() };
  return once(request.name, hashOf(inputsOf(docker)), () => buildImage(request, env) !== undefined);
}

/** The release before this one, which knew no image, by this Dockerfile. */
function buildPreviousRelease(env: NodeJS.ProcessEnv): boolean {
  const source = previousReleaseSource();
  // A clone without history: the test says that it was not run.
  if (source === null) return true;
  const name = previousImage(source.revision);
  return once(name, hashOf(['Dockerfile']), () =>
    withPreviousRelease(
      (context) =>
        buildImage({ name, context, dockerfile: `${context}/Dockerfile`, source }, env) !== undefined,
    ),
  );
}

export const previousImage = (revision: string): string => `largesse:previous-${revision.slice(0, 12)}`;

function once(name: string, hash: string, build: () => boolean): boolean {
  if (isKnown(name, hash)) return true;
  if (!build()) return false;
  remember(name, hash);
  return true;
}

/** A Dockerfile and the files that it copies from the clone. */
export function inputsOf({ dockerfile }: Artifact['docker']): string[] {
  const lines = readFileSync(dockerfile, 'utf8').split('\n');
  const copied = lines
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  return [dockerfile, ...copied.filter((word) => !word.startsWith('--'))];
}
