import http, { type IncomingMessage } from 'node:http';
import https, { type RequestOptions } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { fullJitterMs } from '../../queue/backoff.ts';
import type { Access } from './access.ts';
import { objectIn, readAnswer } from './answer.ts';
import { KubernetesError } from './kubernetes-error.ts';

export type ApiRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  path: string;
  query?: Record<string, string>;
  body?: unknown;
  /** of the body, where it is not plain JSON */
  contentType?: string;
};

/** The few requests that a reconciler makes, each with a deadline. */
export class ApiClient {
  readonly #access: Access;
  readonly #agent: https.Agent | http.Agent;
  readonly #timeoutMs: number;

  constructor(access: Access, { timeoutMs = 5_000 } = {}) {
    this.#access = access;
    this.#agent = new (protocolOf(access).Agent)({ keepAlive: true });
    this.#timeoutMs = timeoutMs;
  }

  get namespace(): string {
    return this.#access.namespace;
  }

  /** @throws KubernetesError */
  async request<Answer>(request: ApiRequest): Promise<Answer> {
    try {
      const response = await this.#send(request, AbortSignal.timeout(this.#timeoutMs));
      const body = await readAnswer(response);
      const { statusCode = 0 } = response;
      if (statusCode < 200 || statusCode > 299) throw refused(response, body);
      const answer = objectIn(body);
      if (answer === null) throw notAnApiServer(this.#access, response);
      return answer as Answer;
    } catch (error) {
      throw error instanceof KubernetesError ? error : unreachable(this.#access, error);
    }
  }

  /**
   * Requests again and again while what stands against it may pass.
   * @param signal ends the trying
   */
  async insist<Answer>(
    request: () => Promise<Answer>,
    options: { tries: number; signal?: AbortSignal },
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await request();
      } catch (error) {
        const { isPassing, retryAfterMs } = error as KubernetesError;
        if (!isPassing || attempt >= options.tries || options.signal?.aborted) throw error;
        const random = Math.random;
        const pauseMs = fullJitterMs({ attempt, baseMs: 250, capMs: 5_000, random, retryAfterMs });
        await wait(pauseMs, undefined, { signal: options.signal }).catch(() => undefined);
      }
    }
  }

  /**
   * Waits until something happens to what `path` and `query` name, or the server ends the watch. What happened is not read:
   * the caller looks itself, so that nothing hangs on an event that got lost.
   */
  async change(path: string, query: Record<string, string>, signal: AbortSignal): Promise<void> {
    const watch = { ...query, watch: 'true', timeoutSeconds: String(watchSeconds) };
    const overdue = AbortSignal.timeout((watchSeconds + 10) * 1_000);
    const until = AbortSignal.any([signal, overdue]);
    const response = await this.#send({ method: 'GET', path, query: watch }, until);
    if (response.statusCode !== 200) throw refused(response, await readAnswer(response));
    await new Promise<void>((resolve) => {
      for (const event of ['data', 'end', 'error', 'close'] as const) response.once(event, () => resolve());
    });
    response.destroy();
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send({ method, path, query, body, contentType }: ApiRequest, signal: AbortSignal) {
    const { server, credentials } = this.#access;
    const url = new URL(server.pathname.replace(/\/$/, '') + path, server);
    url.search = new URLSearchParams(query).toString();
    const { headers, ...options } = await credentials();
    const content = body === undefined ? undefined : JSON.stringify(body);
    const all: RequestOptions = {
      agent: this.#agent,
      // Said here, because NODE_TLS_REJECT_UNAUTHORIZED=0, set for something else, would give the token to whoever answers.
      rejectUnauthorized: true,
      ...options,
      method,
      signal,
      headers: {
        ...headers,
        accept: 'application/json',
        'user-agent': 'largesse-reconciler',
        ...(content === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
      },
    };
    return new Promise<IncomingMessage>((resolve, reject) => {
      const request = protocolOf(this.#access).request(url, all, resolve).on('error', reject);
      // One that is answered by another protocol ends with nothing else, whatever its signal says.
      request.on('close', () => reject(closedUnanswered(this.#access))).end(content);
    });
  }
}

/** What a server asks for is heeded so far: a run has its own end to keep. */
const longestPauseMs = 10_000;

/** A webhook may say in a refusal whatever it likes, and it ends up in logs and in the status of policies. */
const longestMessage = 1_000;

/** A watch that nothing happens to ends after so long; a connection that died unnoticed, soon after. */
const watchSeconds = 60;

function protocolOf({ server }: Access): typeof https | typeof http {
  return server.protocol === 'http:' ? http : https;
}

function refused(response: IncomingMessage, body: string): KubernetesError {
  const { reason, message } = readStatus(body);
  const seconds = Number(response.headers['retry-after'] ?? 0);
  return new KubernetesError({
    status: response.statusCode ?? 0,
    reason: reason ?? 'Unknown',
    message: message ?? `the API server answered ${response.statusCode}`,
    retryAfterMs: Number.isFinite(seconds) ? Math.min(seconds * 1_000, longestPauseMs) : 0,
  });
}

/** Proxies in between answer with pages of their own. */
function readStatus(body: string): { reason?: string; message?: string } {
  const { reason, message } = objectIn(body) ?? {};
  return {
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(typeof message === 'string' ? { message: message.slice(0, longestMessage) } : {}),
  };
}

function notAnApiServer({ server }: Access, { statusCode, headers }: IncomingMessage): KubernetesError {
  const message = `what answers at ${server.host} is no API server: ${statusCode} with ${headers['content-type'] ?? 'no type'}, and no object in it`;
  return new KubernetesError({ reason: 'Unreachable', message });
}

function closedUnanswered({ server }: Access): KubernetesError {
  const message = `the API server at ${server.host} closed the connection without an answer`;
  return new KubernetesError({ reason: 'Unreachable', message });
}

function unreachable({ server }: Access, cause: unknown): KubernetesError {
  const { code, name } = cause as NodeJS.ErrnoException;
  const message = `the API server at ${server.host} can't be reached (${code ?? name})`;
  return new KubernetesError({ reason: 'Unreachable', message, cause });
}
