import pg from 'pg';

/** What is needed of a session to have its statement cancelled from outside. */
type Session = {
  host: string;
  port: number;
  ssl: unknown;
  processID: number | null;
  secretKey: number | null;
};

const patienceMs = 5_000;

/**
 * Asks the server to give up what a silent session is at: closing the connection alone leaves the statement waiting for its
 * lock, and the pool would open another one beside it. Best effort: whoever does not answer can't be asked either.
 */
export function cancelStatement(client: pg.ClientBase): void {
  const { host, port, ssl, processID, secretKey } = client as unknown as Session;
  if (processID === null || secretKey === null) return;
  const connection = new CancelConnection({ ssl });
  const cancel = () => connection.cancel(processID, secretKey);
  const timer = setTimeout(() => connection.stream.destroy(), patienceMs);
  connection.on('connect', () => (ssl ? connection.requestSsl() : cancel()));
  connection.on('sslconnect', cancel);
  connection.on('error', () => undefined);
  connection.on('end', () => clearTimeout(timer));
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`);
  else connection.connect(port, host);
}

/** pg's own, which its types describe in part. */
const CancelConnection = pg.Connection as unknown as new (options: {
  ssl: unknown;
}) => {
  stream: { destroy: () => void };
  on: (event: string, listener: () => void) => void;
  connect: (portOrPath: number | string, host?: string) => void;
  requestSsl: () => void;
  cancel: (processID: number, secretKey: number) => void;
};
