import { describe, expect, test } from '@jest/globals';
import { failureOwner } from '../../../services/queue/failure-owner.ts';

describe('a refusal of SQS is charged to whose fault it is, and to the message for its content alone', () => {
  test.each([
    ['message', ['InvalidMessageContents', 'oversize']],
    [
      'us',
      [
        ...['AccessDenied', 'AccessDeniedException', 'NotAuthorized', 'OptInRequired', 'InvalidSecurity'],
        ...['ExpiredToken', 'ExpiredTokenException', 'InvalidClientTokenId', 'UnrecognizedClientException'],
        ...['SignatureDoesNotMatch', 'IncompleteSignature', 'InvalidSignatureException', 'RequestExpired'],
        ...['RequestTimeTooSkewed', 'MissingAuthenticationToken', 'PendingVerification', 'Blocked'],
        ...['KMS.NotFoundException', 'KmsDisabled', 'KmsInvalidState', 'KmsAccessDenied', 'KmsOptInRequired'],
        ...['QueueDoesNotExist', 'AWS.SimpleQueueService.NonExistentQueue', 'QueueDeletedRecently'],
        ...['MissingParameter', 'InvalidParameterValue', 'InvalidAttributeName', 'UnsupportedOperation'],
        ...['CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
        ...['ERR_TLS_CERT_ALTNAME_INVALID', 'CredentialsProviderError'],
      ],
    ],
    [
      'peer',
      [
        ...[
          'RequestThrottled',
          'Throttling',
          'ThrottlingException',
          'KmsThrottled',
          'KMS.ThrottlingException',
        ],
        ...['OverLimit', 'RequestLimitExceeded', 'TooManyRequestsException', 'InternalError'],
        ...['InternalFailure', 'ServiceUnavailable', 'RequestTimeout', 'TimeoutError', 'Unconfirmed'],
        ...['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'EPROTO', 'ETIMEDOUT'],
      ],
    ],
    ['unknown', ['Odd', 'UnknownError', 'PurgeQueueInProgress', 'MalformedQueryString']],
  ] as const)('%s', (owner, codes) => {
    expect(codes.filter((code) => failureOwner(code) !== owner)).toEqual([]);
  });
});
