import { buildImage } from './build-image.ts';
import { describeSource } from './source.ts';

/** The image of all roles, and of what surrounds them on a developer's cluster. */
export const IMAGES = [
  { name: 'largesse:dev', dockerfile: 'Dockerfile' },
  { name: 'largesse-postgres:dev', dockerfile: 'k8s/images/postgres/Dockerfile' },
  { name: 'largesse-sqs:dev', dockerfile: 'k8s/images/sqs/Dockerfile' },
  { name: 'largesse-mail:dev', dockerfile: 'k8s/images/mail/Dockerfile' },
];

/** @returns whether all of them are built */
export function buildImages(env: NodeJS.ProcessEnv): boolean {
  const source = describeSource();
  return IMAGES.every((image) => buildImage({ ...image, source }, env) !== undefined);
}
