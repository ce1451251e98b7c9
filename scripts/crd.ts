/** `npm run crd`: writes the CustomResourceDefinition of DeadLetterPolicy anew, after its schema has changed. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { customResourceDefinition } from './crd/custom-resource-definition.ts';

const FILE = 'charts/largesse/files/deadletterpolicies.largesse.dev.yaml';
mkdirSync(dirname(FILE), { recursive: true });
writeFileSync(FILE, customResourceDefinition());
console.log(FILE);
