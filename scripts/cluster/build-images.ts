import { readFileSync } from 'node:fs';
import { type Artifact, readConfigurations } from '../skaffold/configuration.ts';
import { buildImage } from './build-image.ts';
import { IMAGE_TAG } from './image-tag.ts';
import { hashOf, isKnown, remember } from './known-images.ts';
import { describeSource } from './source.ts';

/** The images of skaffold.yaml, each as `<name>:dev`. What surrounds the roles is built only where a node lacks it. @returns whether all are there */
export function buildImages(env: NodeJS.ProcessEnv): boolean {
  const source = describeSource();
  return readConfigurations()
    .flatMap(({ build }) => build.artifacts)
    .every(({ image, docker }) => {
      const isOurs = image === 'largesse';
      const name = `${image}:${isOurs ? IMAGE_TAG : 'dev'}`;
      const build = () => buildImage({ name, dockerfile: docker.dockerfile, source }, env) !== undefined;
      if (isOurs) return build();
      const hash = hashOf(inputsOf(docker));
      if (isKnown(name, hash)) return true;
      if (!build()) return false;
      remember(name, hash);
      return true;
    });
}

/** A Dockerfile and the files that it copies from the clone. */
export function inputsOf({ dockerfile }: Artifact['docker']): string[] {
  const lines = readFileSync(dockerfile, 'utf8').split('\n');
  const copied = lines
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  return [dockerfile, ...copied.filter((word) => !word.startsWith('--'))];
}
