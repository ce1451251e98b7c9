import { expect, test } from '@jest/globals';
import { parseCommand, UsageError } from '../../../services/admin/commands.ts';

const sender = 'sen_01k3v5j8y6e4q9s7w2x0z1a2b3';

test.each<[string, string[], string]>([
  ['no command', [], 'a command is missing'],
  ['a command that is none', ['destroy'], 'there is no command "destroy"'],
  ['a name that every object has', ['toString'], 'there is no command "toString"'],
  ['an option that is none', ['create-sender', '--nmae', 'x'], '--nmae'],
  ['an argument too many', ['migrate', 'now'], 'now'],
  ['no name', ['create-sender'], '--name is missing'],
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
  ['no file', ['create-keyring'], '--file is missing'],
])('%s is refused with what to change', (_what, args, said) => {
  expect(() => parseCommand(args)).toThrow(UsageError);
  expect(() => parseCommand(args)).toThrow(said);
});

test('a whole command is read, in the order of the roles and not of the typing', () => {
  const options = [
    '--roles',
    'operator, sender',
    '--scopes',
    'gifts:write',
    '--expires-at',
    '2099-01-01T00:00:00Z',
  ];
  expect(parseCommand(['create-key', '--sender', sender, ...options])).toEqual({
    name: 'create-key',
    key: {
      senderId: sender,
      name: 'key',
      roles: ['sender', 'operator'],
      scopes: ['gifts:write'],
      expiresAt: new Date('2099-01-01T00:00:00Z'),
    },
  });
});

test.each([['0123456789ab'], ['lgk_0123456789ab'], [`lgk_0123456789ab_${'x'.repeat(43)}`]])(
  'the prefix of a key is read from %s',
  (text) => {
    expect(parseCommand(['revoke-key', '--prefix', text])).toEqual({
      name: 'revoke-key',
      prefix: '0123456789ab',
    });
  },
);
