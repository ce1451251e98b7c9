import { z } from 'zod';
import type { Role } from '../database/states.ts';
import { currencies } from '../domain/currencies.ts';
import { type Id, isId, type Prefix } from '../domain/ids.ts';
import { isBlank } from '../domain/notifications/shown-text.ts';
import { apiKeyPrefix, roles, type Scope, scopeRoles, scopes } from '../domain/senders/api-key.ts';
import type { Option } from './command.ts';
import { UsageError } from './refusals.ts';

type Reader<T> = { placeholder: string; help: string; parse: (text: string) => T };

export function required<T>({ placeholder, help, parse }: Reader<T>): Option<T> {
  return { placeholder, help, parse, required: true };
}

export function optional<T>({ placeholder, help, parse }: Reader<T>): Option<T | undefined> {
  return { placeholder, help, parse, required: false };
}

/** With a value of its own where none is given; the help names it. */
export function standard<T>(reader: Reader<T>, value: T, shown?: string): Option<T> {
  const named = shown === undefined ? {} : { standardShown: shown };
  return { ...reader, required: false, standard: value, ...named };
}

export function flag(help: string): Option<boolean> {
  return { placeholder: null, help, required: false, parse: () => true, standard: false };
}

const controls = /[\p{Cc}\p{Zl}\p{Zp}]|\p{Bidi_Control}/u;

export function shortText(help: string): Reader<string> {
  return {
    placeholder: 'text',
    help,
    parse: (text) => {
      if (isBlank(text) || [...text].length > 200) throw new UsageError('needs 1 to 200 characters');
      // Printed in a table, it would move the cursor or turn the line of whoever reads it.
      if (controls.test(text)) throw new UsageError('holds a control character');
      return text;
    },
  };
}

export function path(help: string): Reader<string> {
  return { ...shortText(help), placeholder: 'file', parse: given };
}

function given(text: string): string {
  if (text === '') throw new UsageError('is empty');
  return text;
}

export function id<P extends Prefix>(prefix: P, what: string): Reader<Id<P>> {
  return {
    placeholder: `${prefix}_…`,
    help: `id of ${what}`,
    parse: (text) => {
      if (isId(prefix, text)) return text;
      throw new UsageError(`is not the id of ${what}, ${prefix}_…`);
    },
  };
}

export function oneOf<const T extends string>(known: readonly T[], help: string): Reader<T> {
  return {
    placeholder: known.join('|'),
    help,
    parse: (text) => {
      const found = known.find((one) => one === text);
      if (found !== undefined) return found;
      throw new UsageError(`is ${known.join(' or ')}`);
    },
  };
}

const useful = roles.filter((role) => Object.values(scopeRoles).some((allowed) => allowed.includes(role)));

export const roleList: Reader<Role[]> = someOf(
  'role',
  roles,
  `of ${useful.join(', ')}; the others, ${roles.filter((role) => !useful.includes(role)).join(' and ')}, allow nothing yet`,
);

export const scopeList: Reader<Scope[]> = someOf(
  'scope',
  scopes,
  `of ${scopes.join(', ')}; left out: all that the roles allow`,
);

function someOf<T extends string>(what: string, known: readonly T[], help: string): Reader<T[]> {
  return {
    placeholder: `${what},…`,
    help,
    parse: (text) => {
      if (text.trim() === '') throw new UsageError(`needs at least one of ${known.join(', ')}`);
      const given = text.split(',').map((part) => part.trim());
      const unknown = given.filter((part) => !known.some((one) => one === part));
      if (unknown.length > 0)
        throw new UsageError(`does not know ${unknown.join(', ')}; choose from ${known.join(', ')}`);
      return known.filter((one) => given.includes(one));
    },
  };
}

export const keyPrefix: Reader<string> = {
  placeholder: 'prefix',
  help: "the key's 12 characters after lgk_, which logs show as key_prefix",
  parse: (text) => {
    const prefix = apiKeyPrefix(text);
    if (prefix !== null) return prefix;
    throw new UsageError('is not the 12 characters after lgk_ of a key');
  },
};

export const futureTime: Reader<Date> = {
  placeholder: 'time',
  help: 'RFC 3339, for example 2030-01-31T00:00:00Z',
  parse: (text) => {
    // Read by itself, "1/2/2030" is one of two days, "5000" a year, and the 31st of a short month another month.
    const time = new Date(z.iso.datetime({ offset: true }).safeParse(text).success ? text : Number.NaN);
    if (time.getTime() > Date.now()) return time;
    throw new UsageError('needs an RFC 3339 time in the future, for example 2030-01-31T00:00:00Z');
  },
};

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `90s`, `15m`, `24h`, `7d` → seconds. */
export const duration: Reader<number> = {
  placeholder: 'duration',
  help: '0, 90s, 15m, 24h or 7d',
  parse: (text) => {
    const [, count = '', unit = 's'] = /^(\d{1,6})([smhd])$|^0$/.exec(text) ?? [];
    if (text === '0') return 0;
    if (count !== '') return Number(count) * (unitSeconds[unit] ?? 1);
    throw new UsageError('needs a duration like 90s, 15m, 24h or 7d');
  },
};

export function wholeNumber(min: number, max: number, help: string): Reader<number> {
  return {
    placeholder: 'number',
    help,
    parse: (text) => {
      if (/^\d{1,15}$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
      throw new UsageError(`needs a whole number from ${min} to ${max}`);
    },
  };
}

export const currency: Reader<string> = {
  placeholder: 'code',
  help: 'ISO 4217, for example EUR',
  parse: (text) => {
    if (currencies.includes(text)) return text;
    throw new UsageError('is not the code of a current currency, for example EUR');
  },
};

/** For every list: pages, so that none grows with the installation. */
export const listLimit = standard(wholeNumber(1, 1_000, 'most rows to show'), 100);
