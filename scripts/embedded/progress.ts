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
  const running = new Set<string>();
  const clear = () => isTerminal && running.size > 0 && out.write('\r\u001b[2K');
  const redraw = () =>
    isTerminal && running.size > 0 && out.write(paint('dim', `  … ${[...running].join(', ')}`));
  const write = (line: string) => {
    clear();
    out.write(`${line}\n`);
    redraw();
  };
  return {
    say: (line) => write(line),
    warn: (line) => write(paint('yellow', line)),
    async step(title, run, outcome = () => '') {
      const startedAt = performance.now();
      const end = (mark: string, rest: string) => {
        clear();
        running.delete(title);
        const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
        write(`${mark} ${title}${rest} ${paint('dim', `(${seconds} s)`)}`);
      };
      clear();
      running.add(title);
      redraw();
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
