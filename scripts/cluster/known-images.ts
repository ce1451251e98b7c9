import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

/** By name: what each image was last made of. */
const FILE = 'node_modules/.cache/largesse-images.json';

/** What an image of these files is made of, as a hash. */
export function hashOf(inputs: readonly string[]): string {
  const hash = createHash('sha256');
  for (const input of inputs) hash.update(readFileSync(input)).update('\0');
  return hash.digest('hex');
}

/** Whether every node has this image, made of the same: building and loading it again takes longer than most tests. */
export function isKnown(name: string, hash: string): boolean {
  return remembered()[name] === hash && nodesWith(name);
}

export function remember(name: string, hash: string): void {
  mkdirSync('node_modules/.cache', { recursive: true });
  writeFileSync(FILE, JSON.stringify({ ...remembered(), [name]: hash }));
}

function remembered(): Record<string, string> {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, string>;
  } catch {
    // Never written, or cut off while it was: built anew, then.
    return {};
  }
}

function nodesWith(name: string): boolean {
  const images = ['get', 'nodes', '--output', 'json'];
  const { status, stdout } = spawnSync('kubectl', images, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) return false;
  type Node = { status: { images?: { names: string[] | null }[] } };
  const { items } = JSON.parse(stdout) as { items: Node[] };
  const isOurs = (found: string) => found === name || found.endsWith(`/${name}`);
  return items.every((node) => node.status.images?.some(({ names }) => names?.some(isOurs)) ?? false);
}
