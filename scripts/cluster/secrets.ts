import { randomBytes } from 'node:crypto';
import { createKeyringFile } from '../../services/domain/recipients/keyring.ts';

/**
 * The Secrets that k8s/surroundings and k8s/values.yaml name, made anew for each cluster: nothing in the repository is a password.
 * The emulator takes any key, and the mail catcher asks for none.
 */
export function developmentSecrets(): object[] {
  const password = randomBytes(18).toString('base64url');
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

export function secret(name: string, stringData: Record<string, string>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData };
}
