/**
 * `npm run cluster [-- Jest options]`: the tests of test/cluster on a real cluster, with images of this clone. The cluster is the one
 * of KUBECONFIG, or one that the programs in the folder CLUSTER_TOOLS bring up. Without either, exit code 3: nothing was tested.
 */
import { buildImages } from './cluster/build-images.ts';
import { findCluster } from './cluster/find-cluster.ts';
import { buildMonitoringImage } from './cluster/monitoring-image.ts';
import { runJest } from './testing/run-jest.ts';

const WITHOUT_CLUSTER = 3;

const found = findCluster(process.env);
if ('problem' in found) {
  console.error(found.problem);
  process.exitCode = WITHOUT_CLUSTER;
} else {
  // Jest and what it starts find the same cluster.
  Object.assign(process.env, found.environment);
  process.exitCode =
    buildImages(process.env) && buildMonitoringImage(process.env)
      ? await runJest('test/cluster/jest.config.js', process.argv.slice(2))
      : 1;
}
