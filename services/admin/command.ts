import type { Kysely } from 'kysely';
import { hasSender } from '../database/queries/senders.ts';
import type { Database } from '../database/schema.ts';
import { type Id, toUuid } from '../domain/ids.ts';
import type { AdminContext } from './context.ts';
import { UsageError } from './refusals.ts';

/** One option of a command: how it is written, read and explained. */
export type Option<T> = {
  /** what stands for its value in the help; null for a flag */
  readonly placeholder: string | null;
  readonly help: string;
  readonly required: boolean;
  /** @throws UsageError */
  readonly parse: (text: string) => T;
  readonly standard?: T;
  /** how the help writes it, where the value itself says little */
  readonly standardShown?: string;
};

export type Options = Readonly<Record<string, Option<unknown>>>;

export type Given<O extends Options> = { [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** What a command answers: the same in both forms. The names in `json` are stable; `text` is for people. */
export type Answer = {
  readonly json: unknown;
  readonly text: string;
  /** Nothing can tell it again: when nobody takes it, the command has failed although it was done. */
  readonly shownOnce?: true;
};

export type AdminCommand<O extends Options = Options> = {
  readonly name: string;
  readonly summary: string;
  /** What a person should know before they use it. */
  readonly details?: string;
  /** Names in camelCase; on the command line `--in-kebab-case`. */
  readonly options: O;
  readonly run: (context: AdminContext, given: Given<O>) => Promise<Answer>;
};

/** Keeps the types of the options for `run` and forgets them for the list of all commands. */
export function command<const O extends Options>(definition: AdminCommand<O>): AdminCommand {
  return definition as unknown as AdminCommand;
}

/** @throws UsageError: an empty list of a sender who is not there would say that all is well */
export async function senderMustExist(db: Kysely<Database>, id: Id<'sen'>): Promise<void> {
  if (!(await hasSender(db, toUuid(id))))
    throw new UsageError('there is no sender with this id; list-senders shows them');
}

/** @throws UsageError when there is nothing */
export function mustExist<T>(found: T | undefined, what: string): T {
  if (found !== undefined) return found;
  throw new UsageError(`there is no ${what}`);
}
