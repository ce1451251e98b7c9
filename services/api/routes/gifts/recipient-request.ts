import { getAddress, isAddress } from 'viem/utils';
import { z } from 'zod';
import { readEmailAddress } from '../../../domain/recipients/email-address.ts';
import { markSensitive } from '../../../observability/redact.ts';

const emailRecipient = z.strictObject({
  type: z.literal('email'),
  email: markSensitive(z.string(), 'email')
    .transform((text, context) => {
      const read = readEmailAddress(text);
      if ('address' in read) return read.address;
      context.addIssue(read.problem);
      return z.NEVER;
    })
    .meta({
      description: 'Domains of every script; before the @ ASCII alone',
      override: { type: 'string', format: 'email', maxLength: 254 },
      examples: ['ada@example.com'],
    }),
});

const walletRecipient = z.strictObject({
  type: z.literal('wallet'),
  // One step, so that nothing is made of an address that failed a check: the library throws, and quotes it.
  address: markSensitive(z.string(), 'wallet')
    .transform((text, context) => {
      const problem = walletProblem(text);
      if (problem === null) return getAddress(text);
      context.addIssue(problem);
      return z.NEVER;
    })
    .meta({
      description: 'EVM address, in lower case or with its EIP-55 checksum',
      override: { type: 'string', pattern: wellFormed().source },
      examples: ['0x52908400098527886E0F7030069857D2E4169EE7'],
    }),
  chain_id: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .default(1)
    .meta({ description: 'EIP-155 chain id' }),
});

export const recipientSchema = z
  .discriminatedUnion('type', [emailRecipient, walletRecipient], { error: wrongRecipientType })
  .meta({ id: 'RecipientRequest' });

/** Nothing for what is no object: that needs no words of its own. */
function wrongRecipientType({ code, input }: z.core.$ZodRawIssue): string | undefined {
  if (code !== 'invalid_union') return undefined;
  const missing = typeof input === 'object' && input !== null && !('type' in input);
  return missing ? 'is required' : 'must be "email" or "wallet"';
}

/** What is the matter with a wallet's address, or null. */
function walletProblem(text: string): string | null {
  return walletRules.find(({ broken }) => broken(text))?.problem ?? null;
}

const walletRules: readonly { broken: (text: string) => boolean; problem: string }[] = [
  { broken: (text) => text.trim() !== text, problem: 'has spaces around the address' },
  {
    broken: (text) => /^[^.\s]+(?:\.[^.\s]+)+$/.test(text),
    problem: 'is a name and not an address: look up the address that it stands for, and send that',
  },
  {
    broken: (text) => !wellFormed().test(text),
    problem: 'must be an EVM address: 0x and 40 hexadecimal digits',
  },
  { broken: (text) => /^0x0{40}$/.test(text), problem: 'is the zero address, which nobody holds the key of' },
  {
    broken: (text) => !isAddress(text),
    problem:
      'has a wrong EIP-55 checksum, so a character may be mistyped: copy it again, or send it in lower case',
  },
];

function wellFormed(): RegExp {
  return /^0x[0-9a-fA-F]{40}$/;
}
