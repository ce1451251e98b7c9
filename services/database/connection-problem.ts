/** Why a connection could not be opened, by SQLSTATE or errno. `{at}` is host and port, `{user}` and `{database}` names. */
const sentences: Readonly<Record<string, string>> = {
  '28P01': 'the server at {at} refuses the password of user "{user}"',
  '28000': 'the server at {at} does not let user "{user}" in',
  '3D000': 'the server at {at} has no database "{database}"',
  '53300': 'the server at {at} has no connection left',
  '57P03': 'the server at {at} is still starting or stopping',
  ECONNREFUSED: 'nothing listens at {at}',
  ECONNRESET: 'the server at {at} ended the connection',
  EHOSTUNREACH: 'there is no way to {at}',
  ENETUNREACH: 'there is no way to {at}',
  ENOTFOUND: 'there is no host "{host}"',
  EAI_AGAIN: 'the name "{host}" can not be looked up',
  ETIMEDOUT: '{at} does not answer',
};

/** What pg throws without a code of its own. */
const byMessage: readonly [RegExp, string][] = [
  [/timeout exceeded when trying to connect|Connection terminated due to connection timeout/, 'ETIMEDOUT'],
  [/Connection terminated unexpectedly/, 'ECONNRESET'],
  [/password must be a string|SASL/, '28P01'],
];

/**
 * One sentence for the person who set `DATABASE_URL`, with no internals of the driver and no password; undefined when the
 * error is about something else.
 */
export function explainConnectionProblem(
  error: unknown,
  databaseUrl: string | undefined,
): string | undefined {
  const sentence = sentences[codeOf(error) ?? ''];
  const url = URL.parse(databaseUrl ?? '');
  if (sentence === undefined || url === null) return undefined;
  const port = url.port === '' ? '5432' : url.port;
  const values: Readonly<Record<string, string>> = {
    at: `${url.hostname}:${port}`,
    host: url.hostname,
    user: decode(url.username),
    database: decode(url.pathname.slice(1)),
  };
  return `DATABASE_URL: ${sentence.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '')}`;
}

/** Of the error itself, or of the first in it or beneath it that says one: a host with two addresses fails with two. */
function codeOf(error: unknown, depth = 0): string | undefined {
  if (typeof error !== 'object' || error === null || depth > 5) return undefined;
  const {
    code = '',
    message = '',
    errors = [],
    cause,
  } = error as Partial<AggregateError & NodeJS.ErrnoException>;
  if (Object.hasOwn(sentences, code)) return code;
  const said = byMessage.find(([pattern]) => pattern.test(message))?.[1];
  if (said !== undefined) return said;
  const inner: unknown[] = [...errors, cause];
  return inner.map((one) => codeOf(one, depth + 1)).find((one) => one !== undefined);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
