/** `npm run kind-down`: takes the developer's cluster away, and all that is in it. */
import { CLUSTER, clusters, FOR_A_CLUSTER, kind, problemsOf } from './cluster/kind.ts';

const problems = problemsOf(FOR_A_CLUSTER.filter(({ name }) => name !== 'kubectl'));
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exitCode = 1;
} else if (clusters().includes(CLUSTER)) process.exitCode = kind('delete', 'cluster', '--name', CLUSTER);
else console.log(`There is no cluster ${CLUSTER}.`);
