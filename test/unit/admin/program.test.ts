import { describe, expect, test } from '@jest/globals';
import { type Asked, commands, parseCommandLine } from '../../../services/admin/program.ts';
import { UsageError } from '../../../services/admin/refusals.ts';

const sender = 'sen_01k3v5j8y6e4q9s7w2x0z1a2b3';

test.each<[string, string[], string]>([
  ['no command', [], 'a command is missing (admin --help'],
  ['a command that is none', ['destroy'], 'there is no command "destroy" (admin --help'],
  ['a name that every object has', ['toString'], 'there is no command "toString"'],
  ['an option that is none', ['create-sender', '--nmae', 'x'], '--nmae'],
  ['an argument too many', ['migrate', 'now'], '(admin migrate --help'],
  ['no name', ['create-sender'], '--name is missing (admin create-sender --help'],
  ['an empty name', ['create-sender', '--name', ' '], '--name needs 1 to 200 characters'],
  ['a kind that is none', ['create-sender', '--name', 'x', '--kind', 'robot'], '--kind is system or person'],
  ['no sender', ['create-key', '--roles', 'sender'], '--sender is missing'],
  ['a sender that is none', ['create-key', '--sender', 'x', '--roles', 'sender'], '--sender is not the id'],
  ['a role that is none', ['create-key', '--sender', sender, '--roles', 'root'], 'does not know root'],
  [
    'a scope that is none',
    ['create-key', '--sender', sender, '--roles', 'sender', '--scopes', 'all'],
    'does not know all',
  ],
  [
    'a past end',
    ['create-key', '--sender', sender, '--roles', 'sender', '--expires-at', '2001-01-01'],
    'in the future',
  ],
  [
    'an end that is none',
    ['create-key', '--sender', sender, '--roles', 'sender', '--expires-at', 'soon'],
    'in the future',
  ],
  ['no prefix', ['revoke-key'], '--prefix is missing'],
  ['a prefix that is too short', ['revoke-key', '--prefix', 'lgk_0123'], '12 characters after lgk_'],
  ['a name that shows nothing', ['create-sender', '--name', '\u200b\u2800'], '--name needs 1 to 200'],
  ['a name that moves the cursor', ['create-sender', '--name', 'a\u001b[2Jb'], 'holds a control character'],
  ['a name that turns its line', ['create-sender', '--name', 'a\u202eb'], 'holds a control character'],
  ['no file', ['create-keyring'], '--file is missing'],
  [
    'a grace period without a unit',
    ['rotate-key', '--prefix', '0123456789ab', '--grace', '5'],
    '--grace needs',
  ],
  [
    'money with a point',
    ['top-up', '--sender', sender, '--amount', '25.00'],
    '--amount needs a whole number',
  ],
  ['no money', ['top-up', '--sender', sender, '--amount', '0'], '--amount needs a whole number from 1'],
  [
    'a currency that is none any more',
    ['top-up', '--sender', sender, '--amount', '1', '--currency', 'BGN'],
    '--currency is not the code',
  ],
  [
    'a top-up that could not be repeated',
    ['top-up', '--sender', sender, '--amount', '1', '--currency', 'EUR'],
    '--idempotency-key is missing',
  ],
  ['a version that is none', ['use-lookup-key', '--file', 'f', '--version', '1024'], '--version needs'],
  [
    'a list without end',
    ['list-senders', '--limit', '100000'],
    '--limit needs a whole number from 1 to 1000',
  ],
])('%s is refused in one sentence, with where to get help', (_what, args, said) => {
  const refused = refusalOf(args);
  expect(refused).toBeInstanceOf(UsageError);
  expect(refused?.message).toContain(said);
  expect(refused?.message).not.toContain('\n');
});

describe('help', () => {
  test('of the whole lists every command, with the exit codes', () => {
    for (const flag of ['--help', '-h']) {
      const text = shown([flag]);
      for (const { name } of commands) expect(text).toContain(name);
      expect(text).toContain('Exit codes: 0 done, 1 failed');
    }
  });

  test.each(commands.map(({ name }) => name))(
    'of %s lists its options, and asks for none of them',
    (name) => {
      const text = shown([name, '--help']);
      const { options = {}, summary = '' } = commands.find((one) => one.name === name) ?? {};
      expect(text.replaceAll(/\s+/g, ' ')).toContain(summary);
      for (const option of Object.keys(options)) {
        expect(text).toContain(`--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
      }
      expect(text).toContain('--json');
    },
  );
});

function refusalOf(args: string[]): Error | undefined {
  try {
    parseCommandLine(args);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

function shown(args: string[]): string {
  const asked: Asked = parseCommandLine(args);
  return asked.kind === 'show' ? asked.text : '';
}
