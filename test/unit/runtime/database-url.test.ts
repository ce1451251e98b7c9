import { describe, expect, test } from '@jest/globals';
import { databaseUrlProblem } from '../../../services/runtime/database-url.ts';

const elsewhere = 'postgres://app:secret@db.example.com:5432/largesse';

describe('TLS to the database is required unless its address says otherwise in words', () => {
  test.each([
    `${elsewhere}?sslmode=verify-full`,
    `${elsewhere}?sslmode=verify-full&sslrootcert=/etc/largesse/ca.pem`,
    `${elsewhere}?sslmode=verify-ca&sslrootcert=/etc/largesse/ca.pem`,
    `${elsewhere}?sslmode=disable`,
    `${elsewhere}?sslmode=no-verify`,
    'postgres://localhost/largesse',
    'postgres://app:secret@127.0.0.1:5432/largesse',
    'postgres://app@127.8.8.8/largesse',
    'postgres://app@[::1]:5432/largesse',
    'postgresql:///largesse?host=/var/run/postgresql',
    'postgres://%2Fvar%2Frun%2Fpostgresql/largesse',
  ])('%s may be used', (url) => {
    expect(databaseUrlProblem(url)).toBeNull();
  });

  test.each([
    [elsewhere, 'sslmode=verify-full'],
    ['postgres://10.0.0.8/largesse', 'sslmode=verify-full'],
    ['postgres://localhost.example.com/largesse', 'sslmode=verify-full'],
    ['postgres://127.0.0.1.example.com/largesse', 'sslmode=verify-full'],
    ['postgres://localhost/largesse?host=db.example.com', 'sslmode=verify-full'],
    ['postgres://app:secret@/largesse', 'names no host'],
    [`${elsewhere}?sslmode=prefer`, 'sslmode=prefer'],
    [`${elsewhere}?sslmode=allow`, 'sslmode=allow'],
    [`${elsewhere}?sslmode=require`, 'sslmode=require'],
    [`${elsewhere}?sslmode=verify-ca`, 'sslmode=verify-ca'],
    [`${elsewhere}?sslmode=`, 'sslmode='],
    [`${elsewhere}?sslmode=Disable`, 'sslmode=Disable'],
    [`${elsewhere}?ssl=false`, 'ssl='],
    [`${elsewhere}?ssl=true`, 'ssl='],
    [`${elsewhere}?sslmode=verify-full&uselibpqcompat=true`, 'uselibpqcompat'],
    [`${elsewhere}?sslmode=verify-full&sslmode=disable`, 'sslmode more than once'],
    [`${elsewhere}?sslmode=verify-full&application_name=x&sslmode=no-verify`, 'sslmode more than once'],
    ['postgres://localhost/largesse?host=localhost&host=db.example.com', 'host more than once'],
  ])('%s is refused, with what to do instead', (url, says) => {
    const problem = databaseUrlProblem(url);
    expect(problem).toContain(says);
    expect(problem).not.toContain('secret');
  });
});
