/** Why SQS could not be asked, by the name or errno of the SDK's error. `{at}` is the endpoint, or AWS itself. */
const sentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'AWS_ENDPOINT_URL_SQS: nothing listens at {at}',
  ENOTFOUND: 'AWS_ENDPOINT_URL_SQS: there is no host for {at}',
  EAI_AGAIN: 'AWS_ENDPOINT_URL_SQS: the name of {at} can not be looked up',
  ETIMEDOUT: 'AWS_ENDPOINT_URL_SQS: {at} does not answer',
  TimeoutError: 'AWS_ENDPOINT_URL_SQS: {at} does not answer',
  CredentialsProviderError:
    'AWS_ACCESS_KEY_ID: there are no AWS credentials (an emulator takes any: AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x)',
  InvalidClientTokenId: 'AWS_ACCESS_KEY_ID: {at} does not know this access key',
  UnrecognizedClientException: 'AWS_ACCESS_KEY_ID: {at} does not know this access key',
  SignatureDoesNotMatch: 'AWS_SECRET_ACCESS_KEY: {at} refuses the signature made with it',
  InvalidSignatureException: 'AWS_SECRET_ACCESS_KEY: {at} refuses the signature made with it',
  ExpiredToken: 'AWS_SESSION_TOKEN: it has expired',
  ExpiredTokenException: 'AWS_SESSION_TOKEN: it has expired',
  RequestExpired: 'AWS_ENDPOINT_URL_SQS: the clock of this machine and that of {at} differ',
  RequestTimeTooSkewed: 'AWS_ENDPOINT_URL_SQS: the clock of this machine and that of {at} differ',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'AWS_ENDPOINT_URL_SQS: the certificate of {at} is signed by nobody known (NODE_EXTRA_CA_CERTS)',
  SELF_SIGNED_CERT_IN_CHAIN:
    'AWS_ENDPOINT_URL_SQS: the certificate of {at} is signed by nobody known (NODE_EXTRA_CA_CERTS)',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'AWS_ENDPOINT_URL_SQS: the certificate of {at} is signed by nobody known (NODE_EXTRA_CA_CERTS)',
  CERT_HAS_EXPIRED: 'AWS_ENDPOINT_URL_SQS: the certificate of {at} has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'AWS_ENDPOINT_URL_SQS: the certificate of {at} is for another name',
  AccessDenied: 'AWS_ACCESS_KEY_ID: its owner may not use the queue',
  AccessDeniedException: 'AWS_ACCESS_KEY_ID: its owner may not use the queue',
};

/** One sentence that names the variable to look at; undefined when the error is about something else. */
export function explainQueueProblem(error: unknown, endpoint: string | undefined): string | undefined {
  if (!isOfSdk(error)) return undefined;
  const sentence = sentences[nameOf(error) ?? ''];
  return sentence?.replaceAll('{at}', endpoint ?? 'SQS');
}

/** A refused connection alone does not say whose it was: the database refuses in the same words. */
function isOfSdk(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > 5) return false;
  if ('$metadata' in error || ('name' in error && error.name === 'CredentialsProviderError')) return true;
  return 'cause' in error && isOfSdk(error.cause, depth + 1);
}

function nameOf(error: unknown, depth = 0): string | undefined {
  if (typeof error !== 'object' || error === null || depth > 5) return undefined;
  const {
    code = '',
    name = '',
    errors = [],
    cause,
  } = error as Partial<AggregateError & NodeJS.ErrnoException>;
  const own = [code, name].find((one) => Object.hasOwn(sentences, one));
  if (own !== undefined) return own;
  const inner: unknown[] = [...errors, cause];
  return inner.map((one) => nameOf(one, depth + 1)).find((found) => found !== undefined);
}
