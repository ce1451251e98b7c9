import { basename, posix } from 'node:path';
import type { Import, SourceFile } from './source-graph.ts';

/** A sentence for each violation; none when the rule holds. */
export type Rule = (files: readonly SourceFile[]) => string[];

const EDGES = ['api', 'consumer', 'reconciler', 'admin'];
const LEAVES = ['database', 'queue', 'observability', 'runtime'];
const AREAS = [...EDGES, ...LEAVES, 'domain', 'console'];

const MAX_LINES = 250;

/** The architecture, as sentences that a machine can hold the code to. */
export const RULES: Readonly<Record<string, Rule>> = {
  'every file belongs to an area of the map': (files) =>
    files
      .filter(({ path }) => !AREAS.includes(areaOf(path)))
      .map(({ path }) => `${path}: not in ${AREAS.join(', ')}`),

  'every import of ours exists, by its path with extension': (files) => {
    const paths = new Set(files.map(({ path }) => path));
    return violations(files, (_, { file }) => file !== undefined && isSource(file) && !paths.has(file));
  },

  'edges never import each other': (files) =>
    violations(files, (from, { file }) => {
      const [source, target] = [areaOf(from.path), areaOf(file)];
      return EDGES.includes(source) && EDGES.includes(target) && source !== target;
    }),

  'nothing but an edge imports an edge': (files) =>
    violations(files, (from, { file }) => !EDGES.includes(areaOf(from.path)) && EDGES.includes(areaOf(file))),

  'domain imports database and nothing else of ours': (files) =>
    violations(
      files,
      (from, { file }) => areaOf(from.path) === 'domain' && leaves(file, ['domain', 'database']),
    ),

  'the leaves import npm packages only': (files) =>
    violations(
      files,
      (from, { file }) => LEAVES.includes(areaOf(from.path)) && leaves(file, [areaOf(from.path)]),
    ),

  'services import nothing from outside of services': (files) =>
    violations(files, (_, { file }) => file !== undefined && !file.startsWith('services/')),

  'no file imports itself by way of others': (files) => cycles(files),

  'the AWS SDK is known to queue only': only(/^@(aws-sdk|smithy|aws-crypto)\//, ['queue']),

  'the Kubernetes client is known to reconciler only': only(/^@kubernetes\//, ['reconciler']),

  'Express is known to api only': only(/^(express|helmet|swagger-ui-dist)(\/|$)/, ['api']),

  'winston, prom-client and OpenTelemetry are known to observability only': only(
    /^(winston|logform|prom-client|@opentelemetry\/(?!api$).*)(\/|$)/,
    ['observability'],
  ),

  'the OpenTelemetry API is known to observability and queue only': only(/^@opentelemetry\/api$/, [
    'observability',
    'queue',
  ]),

  'SQL is written in database only: no driver, no sql template elsewhere (types are harmless)': (files) =>
    violations(
      files,
      (from, { specifier, typeOnly }) =>
        /^(kysely|pg|pg-copy-streams)(\/|$)/.test(specifier) && !typeOnly && areaOf(from.path) !== 'database',
    ),

  'SQL is written in database only: no query builder elsewhere': (files) =>
    files
      .filter(({ path }) => areaOf(path) !== 'database')
      .flatMap(({ path, calls }) =>
        QUERY_BUILDERS.filter((name) => calls.has(name)).map((name) => `${path}: calls .${name}()`),
      ),

  'the environment is read in main.ts only': (files) =>
    files
      .filter(({ path, readsEnvironment }) => readsEnvironment && basename(path) !== 'main.ts')
      .map(({ path }) => `${path}: reads process.env`),

  'nothing imports a main.ts': (files) =>
    violations(files, (_, { file }) => file !== undefined && basename(file) === 'main.ts'),

  'no file is longer than 250 lines': (files) =>
    files.filter(({ lines }) => lines > MAX_LINES).map(({ path, lines }) => `${path}: ${lines} lines`),

  'files are named by what they do': (files) =>
    files
      .filter(({ path }) => /(^|\/)(utils?|common|helpers?|types?|misc|shared)(\/|\.tsx?$)/.test(path))
      .map(({ path }) => `${path}: says nothing`),
};

const QUERY_BUILDERS = [
  'selectFrom',
  'insertInto',
  'updateTable',
  'deleteFrom',
  'mergeInto',
  'selectNoFrom',
  'executeQuery',
];

/** The folder below `services`; empty for what lies elsewhere. */
function areaOf(path: string | undefined): string {
  const [services, area, rest] = (path ?? '').split('/');
  return services === 'services' && rest !== undefined ? (area ?? '') : '';
}

function isSource(path: string): boolean {
  return path.startsWith('services/') && !/\.(json|css|svg)$/.test(path);
}

function leaves(file: string | undefined, allowed: readonly string[]): boolean {
  return file !== undefined && !allowed.includes(areaOf(file));
}

function only(specifiers: RegExp, areas: readonly string[]): Rule {
  return (files) =>
    violations(
      files,
      (from, { specifier }) => specifiers.test(specifier) && !areas.includes(areaOf(from.path)),
    );
}

function violations(
  files: readonly SourceFile[],
  isViolation: (from: SourceFile, imported: Import) => boolean,
): string[] {
  return files.flatMap((from) =>
    from.imports
      .filter((imported) => isViolation(from, imported))
      .map(({ specifier }) => `${from.path}: imports ${specifier}`),
  );
}

/** Each cycle once, as the way around it. Depth-first, with the path that led here as the stack. */
function cycles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const found: string[] = [];
  const walk = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0)
      found.push([...trail.slice(start), path].map((step) => posix.relative('services', step)).join(' → '));
    if (start >= 0 || done.has(path)) return;
    for (const { file } of byPath.get(path)?.imports ?? [])
      if (file !== undefined) walk(file, [...trail, path]);
    done.add(path);
  };
  for (const { path } of files) walk(path, []);
  return found;
}
