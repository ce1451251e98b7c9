import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import {
  type DatabaseFault,
  databaseFault,
  isProvenRefusal,
  isTransientDatabaseError,
  rememberDriverError,
} from '../../../services/database/errors.ts';

function stateError(code: string, more: Partial<pg.DatabaseError> = {}): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(`state ${code}`, 0, 'error'), { code, ...more });
}

const bySqlState: [DatabaseFault, string[]][] = [
  ['row', ['22001', '22003', '22P05', '22021']],
  ['suspect', ['23514', '21000', '38000', '44000', '54000', 'P0001', 'XX001', 'XX002']],
  ['busy', ['40001', '40P01', '40003', '55P03', '57014']],
  [
    'session',
    ['08003', '08006', '08P01', '25006', '25P02', '25P03', '25P04', '26000', '42P05', '57P01', '57P05'],
  ],
  [
    'away',
    [
      '0A000',
      '2200H',
      '28P01',
      '3D000',
      '42P01',
      '42703',
      '42501',
      '53100',
      '53300',
      '55000',
      '55006',
      '58030',
      'XX000',
      'F0000',
      '',
    ],
  ],
];

describe('one classification of what a database says', () => {
  test.each(bySqlState)('%s: %j', (fault, states) => {
    expect(states.map((state) => [state, databaseFault(stateError(state))])).toEqual(
      states.map((state) => [state, fault]),
    );
  });

  test('a constraint that is named proves that the row is to blame; one that is not proves nothing', () => {
    const named = stateError('23514', { constraint: 'gifts_transition_legal' });
    const noPartition = stateError('23514');
    expect([isProvenRefusal(named), isProvenRefusal(noPartition)]).toEqual([true, false]);
  });

  test('a plan that no longer fits its table is the matter of one session, whatever the language of the server', () => {
    const stale = stateError('0A000', { routine: 'RevalidateCachedQuery' });
    expect(databaseFault(stale)).toBe('session');
  });

  test.each([
    'ECONNREFUSED',
    'ECONNRESET',
    'ECONNABORTED',
    'EHOSTUNREACH',
    'EHOSTDOWN',
    'ENETUNREACH',
    'ENETDOWN',
    'ETIMEDOUT',
    'EPIPE',
    'EPROTO',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EADDRNOTAVAIL',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'CERT_HAS_EXPIRED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'ERR_SSL_WRONG_VERSION_NUMBER',
  ])('the network’s %s is waited for', (code) => {
    expect(isTransientDatabaseError(Object.assign(new Error(`connect ${code}`), { code }))).toBe(true);
  });

  test('what the driver throws without any code is waited for, whatever its words', () => {
    const words = new Error('Received unexpected rowDescription message from backend.');
    expect(isTransientDatabaseError(words)).toBe(false);
    rememberDriverError(words);
    expect(isTransientDatabaseError(words)).toBe(true);
  });

  test('the unlisted of a database is waited for and proves nothing against a row; a fault of ours is no database’s', () => {
    expect(databaseFault(stateError('ZZ999'))).toBe('away');
    expect(isProvenRefusal(stateError('ZZ999'))).toBe(false);
    for (const foreign of [new TypeError('x is not a function'), new Error('no'), 'text', null, undefined]) {
      expect([databaseFault(foreign), isProvenRefusal(foreign)]).toEqual(['foreign', false]);
    }
  });
});
