import type { Readable } from 'node:stream';
import { KubernetesError } from './kubernetes-error.ts';

/** Of 32 MiB: objects of 1.5 MiB at most, of which a namespace has a few. More would only fill the memory of the pod. */
const mostBytes = 32 * 1024 * 1024;

/** @throws KubernetesError when there is no end to it */
export async function readAnswer(body: Readable): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > mostBytes) {
      const message = `an answer is longer than ${mostBytes / 1024 / 1024} MiB: no API server has so much to say here`;
      throw new KubernetesError({ reason: 'Unreachable', message });
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** All that an API server answers is an object; null: this is none. */
export function objectIn(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
