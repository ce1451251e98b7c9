/**
 * `npm run dev-secrets -- NAMESPACE`: the namespace, as strict as production's may be, and the Secrets that k8s/values.yaml and
 * k8s/surroundings name, where they are missing. skaffold runs it before it deploys.
 */
import { orSay } from './cluster/kubectl.ts';
import { prepareNamespace } from './cluster/prepare-namespace.ts';
import { NAMESPACE } from './skaffold/configuration.ts';

const [namespace = NAMESPACE] = process.argv.slice(2);
await orSay(() => {
  const made = prepareNamespace(namespace);
  console.log(
    made.length === 0 ? `${namespace} has its Secrets.` : `Made in ${namespace}: ${made.join(', ')}`,
  );
});
