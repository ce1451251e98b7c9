/**
 * `npm run chart`: what must hold of charts/largesse without a cluster. What a check needs and is not in the PATH (helm, helm-docs,
 * kubeconform, kube-score, helm4) is said, not passed over. Without helm, exit code 3: nothing was checked.
 */
import { spawnSync } from 'node:child_process';
import { CHECKS } from './cluster/chart-checks.ts';
import { environmentOf } from './cluster/find-cluster.ts';

const WITHOUT_HELM = 3;

const tools = process.env['CLUSTER_TOOLS'];
if (tools) Object.assign(process.env, environmentOf(tools));

const has = (command: string) => spawnSync(command, ['--help'], { stdio: 'ignore' }).error === undefined;
if (!has('helm')) {
  console.error('There is no helm in the PATH, so nothing of the chart was checked.');
  process.exit(WITHOUT_HELM);
}
let failed = 0;
for (const { name, needs, check } of CHECKS) {
  const problem = has(needs) ? check(tools) : undefined;
  if (problem === undefined) console.log(`NOT RUN: ${name}: there is no ${needs} in the PATH`);
  else if (problem === '') console.log(`✔ ${name}`);
  else {
    failed += 1;
    console.log(`✘ ${name}\n${problem}`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
