/** What a message may carry besides body and attributes, and not every queue takes. */
export type Extra = 'message_group_ids' | 'trace_headers';

/** `null`: not found out yet, because nothing with it was sent. */
export type Abilities = Readonly<Record<Extra, boolean | null>>;

export interface AbilityChange {
  readonly queueUrl: string;
  readonly extra: Extra;
  readonly able: boolean;
}

export const extras: readonly Extra[] = ['message_group_ids', 'trace_headers'];

/** After this time a queue is asked anew: it may have been upgraded, or another server may answer for it. */
const forgetMs = 600_000;

type Known = { able: boolean; sinceMs: number };

/**
 * What the queues of one process take, learned from what they say to real messages: a probe of its own could be taken for
 * a message by whoever consumes the queue.
 */
export class SendAbilities {
  readonly #known = new Map<string, Known>();
  readonly #now: () => number;
  readonly #onChange: (change: AbilityChange) => void;

  constructor(onChange: (change: AbilityChange) => void = () => undefined, now = () => performance.now()) {
    this.#onChange = onChange;
    this.#now = now;
  }

  /** What is left out of messages to this queue. */
  lacking(queueUrl: string): Extra[] {
    return extras.filter((extra) => {
      const known = this.#known.get(`${extra} ${queueUrl}`);
      return known !== undefined && !known.able && this.#now() - known.sinceMs < forgetMs;
    });
  }

  read(queueUrl: string): Abilities {
    const able = (extra: Extra) => this.#known.get(`${extra} ${queueUrl}`)?.able ?? null;
    return { message_group_ids: able('message_group_ids'), trace_headers: able('trace_headers') };
  }

  learn(queueUrl: string, extra: Extra, able: boolean): void {
    const key = `${extra} ${queueUrl}`;
    const before = this.#known.get(key)?.able;
    this.#known.set(key, { able, sinceMs: this.#now() });
    if (before !== able) this.#onChange({ queueUrl, extra, able });
  }
}

/**
 * Whether a queue that says so may mean what the message carries, and not its content. What it says of parameters always
 * may; a server that fails over one (moto does, with an HTML page) only where the queue is not known to take it.
 */
export function blamesExtras(code: string, { confirmed }: { confirmed: boolean }): boolean {
  if (/parameter|unsupported|attribute|validation|malformed|InvalidRequest|BadRequest/i.test(code))
    return true;
  return (
    !confirmed && /^(Internal(Error|Failure|ServerError)|UnknownError|SyntaxError|Error|400|500)$/.test(code)
  );
}
