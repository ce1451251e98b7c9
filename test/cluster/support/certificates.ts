import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';

export interface Certificates {
  /** Of the authority. */
  authority: string;
  certificate: string;
  key: string;
}

/** A private authority, and what a server under this name proves itself with. */
export async function certificatesFor(host: string): Promise<Certificates> {
  const folder = mkdtempSync(join(tmpdir(), 'largesse-certificates-'));
  const at = (name: string) => join(folder, name);
  const read = (name: string) => readFileSync(at(name), 'utf8');
  try {
    const fresh = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
    ];
    const own = ['-keyout', at('ca.key'), '-out', at('ca.crt')];
    await run('openssl', [...fresh, '-subj', '/CN=Private authority', ...own]);
    const signed = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-addext', `subjectAltName=DNS:${host}`];
    const server = ['-keyout', at('tls.key'), '-out', at('tls.crt')];
    await run('openssl', [...fresh, '-subj', `/CN=${host}`, ...signed, ...server]);
    return { authority: read('ca.crt'), certificate: read('tls.crt'), key: read('tls.key') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
