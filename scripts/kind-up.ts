/** `npm run kind-up`: the developer's cluster of k8s/kind.yaml, or the one that is there; kubectl leads to it afterwards. */
import { CLUSTER, CONFIG, clusters, FOR_A_CLUSTER, FOR_SKAFFOLD, kind, problemsOf } from './cluster/kind.ts';

const problems = problemsOf(FOR_A_CLUSTER);
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
const isThere = clusters().includes(CLUSTER);
const code = isThere
  ? kind('export', 'kubeconfig', '--name', CLUSTER)
  : kind('create', 'cluster', '--config', CONFIG, '--wait', '120s');
process.exitCode = code;
if (code === 0) {
  console.log(`\nThe cluster ${CLUSTER} ${isThere ? 'was there' : 'is there'}: context kind-${CLUSTER}.`);
  for (const problem of problemsOf(FOR_SKAFFOLD)) console.log(`Still missing. ${problem}`);
  console.log('\n  skaffold dev         everything, built from this clone and again with each change');
  console.log('  npm run kind-down    takes the cluster and all that is in it away');
}
