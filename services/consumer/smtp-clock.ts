/** What a mail server is waited for, each for a time of its own. */
export type SmtpPhase = 'connect' | 'greeting' | 'command' | 'data' | 'content' | 'acceptance';

/** Milliseconds that each may take. */
export type SmtpTimes = Readonly<Record<SmtpPhase, number>>;

/**
 * Watches one connection by what nodemailer tells its logger, which is every command and every reply: it has a single
 * time-out of its own, for silence of any kind, and that of the final dot (10 minutes) is twice that of a command.
 * Commands may be sent ahead of their replies (PIPELINING), so what is waited for is the oldest of those unanswered.
 */
export class SmtpClock {
  readonly #times: SmtpTimes;
  readonly #onExpired: () => void;
  readonly #onSender: () => void;
  readonly #unanswered: SmtpPhase[] = [];
  #timer: NodeJS.Timeout | undefined;
  #expired: SmtpPhase | undefined;

  /** `onSender`: a mail has begun, and the command that does so is sent in this very tick */
  constructor(times: SmtpTimes, on: { expired: () => void; sender: () => void }) {
    this.#times = times;
    this.#onExpired = on.expired;
    this.#onSender = on.sender;
  }

  /** What the server was silent at; undefined unless that is why the connection ended. */
  get expired(): SmtpPhase | undefined {
    return this.#expired;
  }

  /** Waits for an answer that no command asks for. */
  expect(phase: 'connect' | 'greeting'): void {
    this.#unanswered.splice(0, this.#unanswered.length, phase);
    this.#waitForNext();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#unanswered.length = 0;
  }

  /** In the shape of nodemailer's `logger`: nothing is kept, for lines hold addresses and secrets. */
  get logger() {
    const ignore = () => undefined;
    const onEntry = (entry: unknown, message: unknown) => this.#onEntry(entry, message);
    return {
      level: () => undefined,
      trace: ignore,
      debug: onEntry,
      info: onEntry,
      warn: ignore,
      error: ignore,
      fatal: ignore,
    };
  }

  #onEntry(entry: unknown, message: unknown): void {
    const { tnx } = (entry ?? {}) as { tnx?: unknown };
    if (tnx === 'client') this.#onCommand(String(message));
    else if (tnx === 'server') this.#onReply(String(message));
    else if (tnx === 'message') this.#onContent();
  }

  /** The whole content is with the socket: from the final dot on the server has it. */
  #onContent(): void {
    this.#unanswered.splice(0, this.#unanswered.length, 'acceptance');
    this.#waitForNext();
  }

  #onCommand(command: string): void {
    const isData = command === 'DATA';
    this.#unanswered.push(isData ? 'data' : 'command');
    if (command.startsWith('MAIL FROM')) this.#onSender();
    if (this.#unanswered.length === 1) this.#waitForNext();
  }

  #onReply(reply: string): void {
    const answered = this.#unanswered.shift();
    if (answered === 'data' && /^[23]/.test(reply)) this.#unanswered.unshift('content');
    this.#waitForNext();
  }

  #waitForNext(): void {
    clearTimeout(this.#timer);
    const [phase] = this.#unanswered;
    if (phase === undefined || this.#expired !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#expired = phase;
      this.#onExpired();
    }, this.#times[phase]);
  }
}
