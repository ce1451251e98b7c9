import { expect, test } from '@jest/globals';
import { findCluster } from '../../../scripts/cluster/find-cluster.ts';

test.each([
  ['nothing names one', {}, /set KUBECONFIG .*, or CLUSTER_TOOLS/],
  [
    'the programs that should bring one up are not there',
    { CLUSTER_TOOLS: '/nowhere' },
    /^\/nowhere\/up could not/,
  ],
  ['there is no helm', { KUBECONFIG: '/nowhere', PATH: '/nowhere' }, /no helm in the PATH/],
])('without a cluster it is said why: %s', (_name, env, problem) => {
  expect(findCluster(env)).toEqual({ problem: expect.stringMatching(problem) });
});
