import type { Release } from './configuration.ts';

/** A built image, as skaffold splits it for the templates of a release. */
export interface BuiltImage {
  /** Its name in skaffold.yaml. */
  artifact: string;
  repository: string;
  tag: string;
  digest?: string;
}

/** What skaffold calls helm with for a release of a chart in this clone, after `install` or `upgrade`. */
export function helmArguments(release: Release, image: BuiltImage): string[] {
  const {
    name,
    chartPath = '',
    namespace,
    valuesFiles = [],
    setValues = {},
    setValueTemplates = {},
  } = release;
  const templates = Object.entries(setValueTemplates).map(([key, template]) => [
    key,
    expand(template, image),
  ]);
  return [
    ...[name, chartPath, '--namespace', namespace],
    ...[...Object.entries(setValues), ...templates].flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    ...valuesFiles.flatMap((file) => ['--values', file]),
    ...(release.wait ? ['--wait'] : []),
  ];
}

/** skaffold's templates know more; a name that only they know is an error here, and not an empty value. */
function expand(template: string, { artifact, repository, tag, digest = '' }: BuiltImage): string {
  const suffix = artifact.replaceAll(/[-./]/g, '_');
  const known: Record<string, string> = {
    [`IMAGE_REPO_${suffix}`]: repository,
    [`IMAGE_TAG_${suffix}`]: tag,
    [`IMAGE_DIGEST_${suffix}`]: digest,
  };
  return template.replaceAll(/\{\{\s*\.(\w+)\s*\}\}/g, (whole, name: string) => {
    const value = known[name];
    if (value === undefined) throw new Error(`${whole}: no image has this variable`);
    return value;
  });
}
