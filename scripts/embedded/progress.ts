import { styleText } from 'node:util';

/** What people see while the system starts and runs: one line per event, coloured when a terminal shows it. */
export interface Progress {
  say(line: string): void;
  warn(line: string): void;
  /** Shows that `title` is under way, runs it, and says how long it took. */
  step<T>(title: string, run: () => Promise<T>, outcome?: (result: T) => string): Promise<T>;
  /** One line of a part's log, with its name in front. */
  log(part: string, line: string): void;
}

const NAME_WIDTH = 10;
const COLOURS = ['cyan', 'magenta', 'blue', 'green', 'yellow'] as const;

export function createProgress(out: NodeJS.WriteStream = process.stdout): Progress {
  const isTerminal = out.isTTY === true;
  const paint = (format: Parameters<typeof styleText>[0], text: string) =>
    styleText(format, text, { stream: out });
  const colours = new Map<string, (typeof COLOURS)[number]>();
  // Steps that run at the same time share the terminal's last line, so that each can be replaced by its outcome.
  const running = new Map<string, number>();
  const waiting = () =>
    [...running].map(([title, since]) => `${title} (${secondsSince(since)} s)`).join(', ');
  const clear = () => isTerminal && running.size > 0 && out.write('\r\u001b[2K');
  const redraw = () => isTerminal && running.size > 0 && out.write(paint('dim', `  … ${waiting()}`));
  const write = (line: string) => {
    clear();
    out.write(`${line}\n`);
    redraw();
  };
  // A line that stands still looks like a start that hangs: seconds move on a terminal, elsewhere a line says what is waited for.
  let ticking: ReturnType<typeof setInterval> | undefined;
  const tick = () => {
    if (isTerminal) {
      clear();
      redraw();
    } else out.write(`  … ${waiting()}\n`);
  };
  const begin = (title: string) => {
    clear();
    running.set(title, performance.now());
    redraw();
    ticking ??= setInterval(tick, isTerminal ? 1_000 : 10_000).unref();
  };
  const finish = (title: string) => {
    clear();
    running.delete(title);
    if (running.size > 0) return;
    clearInterval(ticking);
    ticking = undefined;
  };
  return {
    say: (line) => write(line),
    warn: (line) => write(paint('yellow', line)),
    async step(title, run, outcome = () => '') {
      const startedAt = performance.now();
      const end = (mark: string, rest: string) => {
        finish(title);
        const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
        write(`${mark} ${title}${rest} ${paint('dim', `(${seconds} s)`)}`);
      };
      begin(title);
      try {
        const result = await run();
        end(paint('green', '✔'), outcome(result));
        return result;
      } catch (error) {
        end(paint('red', '✘'), '');
        throw error;
      }
    },
    log(part, line) {
      if (!colours.has(part)) colours.set(part, COLOURS[colours.size % COLOURS.length] ?? 'cyan');
      write(`${paint(colours.get(part) ?? 'cyan', part.padEnd(NAME_WIDTH))} ${paint('dim', '│')} ${line}`);
    },
  };
}

function secondsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) / 1000);
}
