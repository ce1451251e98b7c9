import { randomBytes } from 'node:crypto';
import { createKeyringFile } from '../../services/domain/recipients/keyring.ts';

/**
 * The Secrets that k8s/surroundings and k8s/values.yaml name, made anew for each cluster: nothing in the repository is a password.
 * The emulator takes any key, and the mail catcher asks for none.
 */
export function developmentSecrets(password = randomBytes(18).toString('base64url')): Secret[] {
  return [
    secret('postgres', { password }),
    secret('largesse-database', {
      url: `postgres://largesse:${password}@postgres:5432/largesse?sslmode=disable`,
    }),
    secret('largesse-keyring', { 'keyring.json': createKeyringFile('k1') }),
    secret('largesse-mail', { url: 'smtp://mail:1025?tls=none' }),
    secret('largesse-aws', { AWS_ACCESS_KEY_ID: 'emulator', AWS_SECRET_ACCESS_KEY: 'emulator' }),
  ];
}

export interface Secret {
  apiVersion: 'v1';
  kind: 'Secret';
  metadata: { name: string };
  stringData: Record<string, string>;
}

export function secret(name: string, stringData: Record<string, string>): Secret {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData };
}

/**
 * Of the Secrets of a developer's cluster, those that are missing there. What is there stays: the database was made with its password,
 * and what is in it can be read with its keyring alone.
 * @param found name and data (base64) of those that are there
 */
export function missingSecrets(found: ReadonlyMap<string, Record<string, string>>): Secret[] {
  const password = found.get('postgres')?.['password'];
  const known = password === undefined ? undefined : Buffer.from(password, 'base64').toString();
  return developmentSecrets(known).filter(({ metadata }) => !found.has(metadata.name));
}
