import type { Server } from 'node:http';
import { EnvironmentError } from './env.ts';

export type ListenOptions = {
  /** 0 takes any free port. */
  port: number;
  host?: string | undefined;
  /** which variable the port is of */
  variable: 'PORT' | 'METRICS_PORT';
};

/** What the system says of a port or an address, and which of the two it is about. */
const sentences: Readonly<Record<string, (asked: ListenOptions) => [variable: string, problem: string]>> = {
  EADDRINUSE: ({ port, variable }) => [variable, `port ${port} is taken by another process`],
  EACCES: ({ port, variable }) => [variable, `this user may not listen on port ${port}`],
  EADDRNOTAVAIL: ({ host }) => ['HOST', `this machine has no address ${host}`],
  EINVAL: ({ host }) => ['HOST', `${host} is no address to listen on`],
  ENOTFOUND: ({ host }) => ['HOST', `there is no address "${host}"`],
  EAI_AGAIN: ({ host }) => ['HOST', `the name "${host}" can not be looked up`],
};

/** @returns the port. @throws EnvironmentError where another setting is needed */
export function listen(server: Server, asked: ListenOptions): Promise<number> {
  const { port, host } = asked;
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException) => reject(explained(error, asked));
    server.once('error', refuse);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', refuse);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

function explained(error: NodeJS.ErrnoException, asked: ListenOptions): Error {
  const [variable, problem] = sentences[error.code ?? '']?.(asked) ?? [];
  if (variable === undefined) return error;
  return new EnvironmentError([{ variable, problem: `${problem} (${error.code})`, remedy: undefined }]);
}
