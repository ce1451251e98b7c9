import type { Source } from './source.ts';

export interface Bom {
  serialNumber?: string;
  metadata: { timestamp: string; component: Record<string, unknown> };
  components: { externalReferences?: { type: string }[] }[];
}

/** npm's document without what differs from one run, clone or registry to the next. */
export function settle(bom: Bom, { version, epochSeconds }: Source): string {
  const { serialNumber: _random, metadata, components, ...rest } = bom;
  const name = 'largesse';
  const component = {
    ...metadata.component,
    'bom-ref': `${name}@${version}`,
    name,
    version,
    purl: `pkg:npm/${name}@${version}`,
  };
  const settled = {
    ...rest,
    metadata: { ...metadata, timestamp: new Date(epochSeconds * 1_000).toISOString(), component },
    components: components.map(({ externalReferences = [], ...each }) => ({
      ...each,
      externalReferences: externalReferences.filter(({ type }) => type !== 'distribution'),
    })),
  };
  return `${JSON.stringify(settled, null, 2)}\n`;
}
