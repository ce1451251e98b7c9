import { expect, test } from '@jest/globals';
import { settle } from '../../../scripts/cluster/settle-bom.ts';

const source = { version: '0.1.0', revision: 'abc', epochSeconds: 1_795_824_000 };
const bomOf = (run: string) => ({
  bomFormat: 'CycloneDX',
  serialNumber: `urn:uuid:${run}`,
  metadata: { timestamp: run, component: { name: run, purl: `pkg:npm/${run}@0.1.0` } },
  components: [
    {
      purl: 'pkg:npm/pg@8.23.1',
      externalReferences: [
        { type: 'vcs', url: 'git+https://example.com/pg' },
        { type: 'distribution', url: `https://${run}.example.com/pg.tgz` },
      ],
    },
  ],
});

test('the same commit gives the same document, whatever the run, the folder and the registry', () => {
  const one = settle(bomOf('one'), source);
  expect(settle(bomOf('another'), source)).toBe(one);
  expect(JSON.parse(one)).toMatchObject({
    metadata: { timestamp: '2026-11-28T00:00:00.000Z', component: { purl: 'pkg:npm/largesse@0.1.0' } },
    components: [{ purl: 'pkg:npm/pg@8.23.1', externalReferences: [{ type: 'vcs' }] }],
  });
});
