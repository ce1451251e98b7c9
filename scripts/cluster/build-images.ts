import { buildImage } from './build-image.ts';
import { hashOf, isKnown, remember } from './known-images.ts';
import { describeSource } from './source.ts';

/** What surrounds the roles on a developer's cluster, with the files that make each. */
const SURROUNDINGS = [
  { name: 'largesse-postgres:dev', files: ['k8s/images/postgres/Dockerfile', 'k8s/images/postgres/run.sh'] },
  { name: 'largesse-sqs:dev', files: ['k8s/images/sqs/Dockerfile', 'scripts/embedded/sqs.ts'] },
  { name: 'largesse-mail:dev', files: ['k8s/images/mail/Dockerfile'] },
];

/** The image of all roles, and those of what surrounds them where a node lacks one. @returns whether all are there */
export function buildImages(env: NodeJS.ProcessEnv): boolean {
  const source = describeSource();
  const roles = { name: 'largesse:dev', dockerfile: 'Dockerfile', source };
  if (buildImage(roles, env) === undefined) return false;
  return SURROUNDINGS.every(({ name, files }) => {
    const [dockerfile = ''] = files;
    const hash = hashOf([...files, 'package-lock.json']);
    if (isKnown(name, hash)) return true;
    if (buildImage({ name, dockerfile, source }, env) === undefined) return false;
    remember(name, hash);
    return true;
  });
}
