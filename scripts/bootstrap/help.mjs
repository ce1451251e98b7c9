/** What each command says with `--help`, and does nothing else. Plain JavaScript: asked before anything is installed. */
const HELP = {
  start:
    'npm start\n\nRuns the whole system on this machine, until Ctrl-C: PostgreSQL, SQS, a mail catcher, API, consumer and reconciler.\n' +
    'DATABASE_URL, AWS_ENDPOINT_URL_SQS and SMTP_URL replace the embedded parts by your own; PORT chooses the port of the API.\n' +
    'Everything is kept in .largesse/ for the next start.',
  stop: 'npm stop\n\nStops the system that runs from this clone, in order, as Ctrl-C in its terminal does.',
  mail:
    'npm run mail -- stop | start\n\nTakes the mail catcher of the running system away and brings it back. While it is away, the reconciliation of every\n' +
    'minute rests, so that what is dead-lettered can be looked at: npm run reconcile -- --dry-run',
  smoke:
    'npm run smoke\n\nDoes what a newcomer does, from nothing, in a temporary clone: npm start and the commands of README.md.',
  build: 'npm run build\n\nBundles each role into dist/, with source maps.',
  image:
    'npm run image [-- NAME:TAG]\n\nBuilds the image of all roles (largesse:dev), the same for the same commit; BASE names another base. With docker, or with\nthe build-image of the folder CLUSTER_TOOLS.',
  sbom: 'npm run sbom\n\nWrites dist/sbom.cdx.json: the packages that the image is made of, as CycloneDX.',
  chart:
    'npm run chart\n\nWhat must hold of charts/largesse without a cluster: lint, unit tests, schemas, equal renderings. Needs helm in the PATH.',
  cluster:
    'npm run cluster [-- Jest options]\n\nBuilds the images and runs the tests of test/cluster in the cluster of KUBECONFIG, or in one that the programs in the folder\nCLUSTER_TOOLS (up, env, build-image) bring up. Clones that share a cluster name an image each: CLUSTER_IMAGE_TAG.',
  'kind-up':
    'npm run kind-up\n\nMakes the cluster of k8s/kind.yaml with kind and docker, or finds it, and says what comes next.',
  'kind-down': 'npm run kind-down\n\nTakes that cluster away, and all that is in it.',
  'dev-secrets':
    "npm run dev-secrets [-- NAMESPACE]\n\nThe namespace (largesse-dev) and the Secrets of a developer's cluster, where they are missing. skaffold runs it.",
  'dev-sender':
    'npm run dev-sender [-- NAMESPACE]\n\nA sender with money and a key in the Secret largesse-test, once, and commands to paste. skaffold runs it.',
  bench:
    'npm run bench [-- name …]\n\nThe measurements of docs/performance.md, all or those that are named: consumer, accept, relay, end-to-end, redrive,\nreconcile, explain.',
  browser: 'npm run browser [-- Jest options]\n\nThe tests of the pages, in a real Chromium.',
  check: 'npm run check\n\nLint, types, tests and build: what must hold before a commit.',
};

/** Those that take no arguments at all: an argument that does nothing would be believed to do something. */
const WITHOUT_ARGUMENTS = new Set([
  ...['start', 'stop', 'smoke', 'build', 'check', 'chart', 'sbom'],
  ...['kind-up', 'kind-down'],
]);

/** @returns {{ text: string, code: number } | undefined} what to say instead of running; undefined to run */
export function insteadOfRunning(name, args) {
  const help = Object.hasOwn(HELP, name) ? HELP[name] : undefined;
  if (help === undefined) return undefined;
  if (args.some((arg) => arg === '--help' || arg === '-h')) return { text: help, code: 0 };
  if (!WITHOUT_ARGUMENTS.has(name) || args.length === 0) return undefined;
  const command = name === 'start' || name === 'stop' ? `npm ${name}` : `npm run ${name}`;
  return {
    text: `${command} takes no arguments, and "${args[0]}" was given. (${command} -- --help says more)`,
    code: 2,
  };
}
