/**
 * `npm run sbom`: what the image holds besides its base, as a CycloneDX document in dist/sbom.cdx.json: the packages that the bundles are made
 * of, with versions, licences and hashes. The same commit gives the same document.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type Bom, settle } from './cluster/settle-bom.ts';
import { describeSource } from './cluster/source.ts';

const FILE = 'dist/sbom.cdx.json';
const FORMAT = ['--omit=dev', '--sbom-format=cyclonedx', '--sbom-type=application'];

const { status, stdout, stderr } = spawnSync('npm', ['sbom', ...FORMAT], {
  encoding: 'utf8',
  maxBuffer: 64 * 1024 * 1024,
});
if (status === 0) {
  const bom = settle(JSON.parse(stdout) as Bom, describeSource());
  mkdirSync('dist', { recursive: true });
  writeFileSync(FILE, bom);
  const digest = createHash('sha256').update(bom).digest('hex');
  console.log(`${FILE}  ${(JSON.parse(bom) as Bom).components.length} packages  sha256:${digest}`);
} else {
  console.error(stderr);
  process.exitCode = 1;
}
