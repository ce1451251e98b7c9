import pg from 'pg';

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

/** What a server or a pooler refuses when it is asked for something: what has to be mended stands outside of this program. */
const refusals: readonly [state: RegExp, sentence: string][] = [
  [/^25006$/, 'the server at {at} only reads: it is a standby, or user or database are set to read-only'],
  [
    /^42(P01|703|883)$|^3F000$/,
    'database "{database}" at {at} has not what this release needs: run admin migrate, or look at the search_path of user "{user}"',
  ],
  [/^42501$/, 'user "{user}" may not do this in database "{database}" at {at}'],
  [/^53100$/, 'the server at {at} has no space left'],
  [
    /^(55P03|57014|40P01|40001)$/,
    'somebody else holds what this needs in database "{database}" at {at}; repeat it',
  ],
  [/^(57P|08)/, 'the server at {at}, or the pooler before it, ended the connection'],
];

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
  return fill(sentences[codeOf(error) ?? ''], databaseUrl);
}

/** The same for what was refused over a connection that could be had; undefined when it is for a programmer to look at. */
export function explainRefusedStatement(error: unknown, databaseUrl: string | undefined): string | undefined {
  // Of the error itself alone: what has a name of its own for it, such as a migration that failed, tells more by that.
  const { code = '' } = error instanceof pg.DatabaseError ? error : {};
  return fill(refusals.find(([state]) => state.test(code))?.[1], databaseUrl);
}

function fill(sentence: string | undefined, databaseUrl: string | undefined): string | undefined {
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
