import { Command, CommanderError, Option as CommanderOption, InvalidArgumentError } from 'commander';
import type { AdminCommand, Answer } from './command.ts';
import { fundingCommands } from './commands/funding.ts';
import { idCommands } from './commands/ids.ts';
import { keyringCommands } from './commands/keyring.ts';
import { keyCommands } from './commands/keys.ts';
import { messageCommands } from './commands/messages.ts';
import { schemaCommands } from './commands/schema.ts';
import { senderCommands } from './commands/senders.ts';
import type { AdminContext } from './context.ts';
import { UsageError } from './refusals.ts';

const groups: Readonly<Record<string, readonly AdminCommand[]>> = {
  'Installation:': [...schemaCommands, ...keyringCommands],
  'Senders and their keys:': [...senderCommands, ...keyCommands],
  'Money:': fundingCommands,
  'Messages:': messageCommands,
  'Looking into the database:': idCommands,
};

export const commands: readonly AdminCommand[] = Object.values(groups).flat();

const footer = `
Every command takes --json, for stable names and nothing else on standard output, and --help.
Exit codes: 0 done, 1 failed (may succeed when repeated), 2 the command or the environment makes no sense.`;

/** What was asked for: a command to run, or a text to show. */
export type Asked =
  | { kind: 'run'; json: boolean; run: (context: AdminContext) => Promise<Answer> }
  | { kind: 'show'; text: string };

/** Reads a command line. @throws UsageError with one sentence and where to get help */
export function parseCommandLine(argv: readonly string[]): Asked {
  const shown: string[] = [];
  let asked: Asked | undefined;
  const program = quiet(new Command('admin'), shown)
    .description('Largesse: what is done on the installation itself')
    .helpCommand(false)
    .addHelpText('after', footer);
  for (const [heading, members] of Object.entries(groups)) {
    for (const member of members) {
      const seen = new Set<string>();
      const sub = quiet(program.command(member.name).helpGroup(heading), shown)
        .summary(member.summary)
        .description([member.summary, member.details].filter(Boolean).join('\n\n'))
        .allowExcessArguments(false);
      for (const option of optionsOf(member, seen)) sub.addOption(option);
      sub.option('--json', 'print JSON').action((given: Record<string, unknown>) => {
        for (const [key, option] of Object.entries(member.options)) {
          if (option.required && given[key] === undefined)
            throw new UsageError(`${flagOf(key)} is missing (admin ${member.name} --help says more)`);
        }
        asked = {
          kind: 'run',
          json: given['json'] === true,
          run: (context) => member.run(context, given as never),
        };
      });
    }
  }
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'show', text: `${shown.join('').trimEnd()}\n` };
    throw explained(error, argv);
  }
  if (asked === undefined) throw new UsageError('a command is missing (admin --help lists them)');
  return asked;
}

function quiet(command: Command, shown: string[]): Command {
  return command.exitOverride().configureOutput({
    writeOut: (text) => void shown.push(text),
    writeErr: () => undefined,
    outputError: () => undefined,
  });
}

function optionsOf({ options }: AdminCommand, seen: Set<string>): CommanderOption[] {
  return Object.entries(options).map(([name, option]) => {
    const flag = flagOf(name);
    const shown = option.placeholder === null ? flag : `${flag} <${option.placeholder}>`;
    const made = new CommanderOption(shown, option.required ? `${option.help} (required)` : option.help);
    if (option.placeholder !== null)
      made.argParser((text) => parsed(onceOnly(name, option.parse, seen), text));
    if (option.standard !== undefined && option.standard !== false) {
      made.default(option.standard, option.standardShown);
    }
    // Not mandatory to commander: of a misspelt option it would say that the right one is missing.
    return made;
  });
}

function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** commander takes the last one: a key of two roles, asked for one by one, would have only the second. */
function onceOnly<T>(name: string, parse: (text: string) => T, seen: Set<string>): (text: string) => T {
  return (text) => {
    if (seen.has(name)) throw new UsageError('stands twice; give it once');
    seen.add(name);
    return parse(text);
  };
}

function parsed<T>(parse: (text: string) => T, text: string): T {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof UsageError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** commander's sentence in our words: what is wrong, and where to read on. */
function explained(error: CommanderError, argv: readonly string[]): UsageError {
  const [name = ''] = argv;
  const isCommand = commands.some((one) => one.name === name);
  const help = isCommand ? `admin ${name} --help` : 'admin --help';
  const said =
    sentences[error.code]?.(error, name) ??
    error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
  return new UsageError(`${said.replace(/\.$/, '')} (${help} says more)`, { cause: error });
}

const sentences: Readonly<Record<string, (error: CommanderError, name: string) => string>> = {
  'commander.help': () => 'a command is missing',
  'commander.unknownCommand': (_error, name) => `there is no command "${name}"`,
  'commander.invalidArgument': ({ message }) => {
    const [, option = 'an option', why = message] =
      /option '(--[a-z-]+)[^']*' argument '.*' is invalid\. (.*)$/s.exec(message) ?? [];
    return `${option} ${why}`;
  },
};
