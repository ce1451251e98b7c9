import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DomainError } from '../../../services/domain/errors.ts';
import {
  classifyFailure,
  PermanentFailure,
  TransientFailure,
} from '../../../services/domain/failure-classes.ts';

const failing = (fields: object, message = 'boom') => Object.assign(new Error(message), fields);

describe('classifyFailure', () => {
  test.each([
    ['a refused database connection', failing({ code: 'ECONNREFUSED' }), 'transient', 'database_unavailable'],
    ["nodemailer's connection error", failing({ code: 'ESOCKET' }), 'transient', 'mail_unreachable'],
    ['a greylisting server', failing({ code: 'EENVELOPE', responseCode: 451 }), 'transient', 'mail_deferred'],
    [
      'an unknown mailbox',
      failing({ code: 'EENVELOPE', responseCode: 550, response: '550 5.1.1 User unknown' }),
      'permanent',
      'recipient_refused',
    ],
    [
      'an address that no command can carry',
      failing({ code: 'EENVELOPE', command: 'API' }),
      'permanent',
      'recipient_refused',
    ],
    ['refused content', failing({ code: 'EMESSAGE', responseCode: 554 }), 'unknown', 'mail_refused'],
    ['a refused login', failing({ code: 'EAUTH', responseCode: 535 }), 'transient', 'mail_login_refused'],
    [
      'a refused sender',
      failing({ code: 'EENVELOPE', command: 'MAIL FROM', responseCode: 553 }),
      'transient',
      'mail_sender_refused',
    ],
    [
      'a server that turns us away',
      failing({ code: 'EPROTOCOL', command: 'CONN', responseCode: 554 }),
      'transient',
      'mail_server_refused',
    ],
    [
      'a refusal at RCPT that gives no reason',
      failing({ code: 'EENVELOPE', command: 'RCPT TO', responseCode: 550 }),
      'unknown',
      'mail_refused',
    ],
    ['an aborted attempt', new DOMException('stop', 'AbortError'), 'transient', 'timed_out'],
    ['a time-out', new DOMException('late', 'TimeoutError'), 'transient', 'timed_out'],
    [
      'a lost database',
      failing({}, 'Connection terminated unexpectedly'),
      'transient',
      'database_unavailable',
    ],
    ['a state conflict', new DomainError('state_conflict', 'gone'), 'permanent', 'state_conflict'],
    ['what a rule called permanent', new PermanentFailure('x', 'y'), 'permanent', 'x'],
    ['anything else', new TypeError('undefined is not a function'), 'unknown', 'unexpected_error'],
    ['what is no error', 'a string', 'unknown', 'unexpected_error'],
  ])('%s', (_, error, expectedClass, code) => {
    expect(classifyFailure(error)).toMatchObject({ class: expectedClass, code });
  });

  test('respects what the other side asked for', () => {
    const error = new TransientFailure('busy', 'try later', { retryAfterMs: 5_000 });
    expect(classifyFailure(error)).toMatchObject({ class: 'transient', retryAfterMs: 5_000 });
  });

  test("P59: never repeats a server's words, which may hold an address", () => {
    const responseCodes = fc.option(fc.integer({ min: 400, max: 599 }), { nil: undefined });
    const codes = fc.constantFrom('EENVELOPE', 'EMESSAGE', 'EAUTH', 'ESOCKET', '');
    fc.assert(
      fc.property(responseCodes, codes, (responseCode, code) => {
        const message = '550 5.1.1 <ada@example.com>: Recipient address rejected';
        const failure = classifyFailure(failing({ code, responseCode, response: message }, message));
        expect(JSON.stringify(failure)).not.toContain('ada');
      }),
    );
  });
});
