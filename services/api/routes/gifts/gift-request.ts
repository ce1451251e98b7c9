import { getAddress, isAddress } from 'viem/utils';
import { z } from 'zod';
import { isCurrency, maxAmountMinor } from '../../../domain/money.ts';
import { markSensitive } from '../../../observability/redact.ts';

export const currencySchema = z
  .string()
  .regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code in upper case')
  .refine(isCurrency, 'is not a currency of ISO 4217')
  .meta({ description: 'ISO 4217 code', examples: ['EUR'] });

const moneySchema = z
  .strictObject({
    amount: z
      .int()
      .min(1)
      .max(maxAmountMinor)
      .meta({ description: 'Integer minor units (cents)', examples: [2500] }),
    currency: currencySchema,
  })
  .meta({ id: 'Money' });

/** One line: it becomes part of a mail's header. */
const oneLine = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\r\n]*$/, 'must be one line');

const emailRecipient = z.strictObject({
  type: z.literal('email'),
  email: markSensitive(z.email('is not an e-mail address').max(254), 'email').refine(
    (email) => email.lastIndexOf('@') <= 64,
    'has more than 64 characters before the @',
  ),
});

const walletRecipient = z.strictObject({
  type: z.literal('wallet'),
  address: markSensitive(z.string(), 'wallet')
    .refine((address) => isAddress(address), 'is not an EVM address, or its EIP-55 checksum is wrong')
    .overwrite((address) => getAddress(address)),
  chain_id: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .default(1)
    .meta({ description: 'EIP-155 chain id' }),
});

const recipient = z
  .discriminatedUnion('type', [emailRecipient, walletRecipient], 'must have the type "email" or "wallet"')
  .meta({ id: 'RecipientRequest' });

const instant = z.iso
  .datetime({ offset: true, error: 'must be an RFC 3339 time' })
  .meta({ examples: ['2027-01-31T09:00:00Z'] });

const metadata = z
  .record(z.string().min(1).max(40), z.string().max(500))
  .refine((entries) => Object.keys(entries).length <= 50, 'has more than 50 entries')
  .meta({ description: 'Up to 50 pairs of your own; never personal data' });

export const giftRequestSchema = z
  .strictObject({
    value: moneySchema,
    recipient,
    message: markSensitive(z.string().min(1).max(2_000), 'text').optional(),
    sender_name: markSensitive(oneLine(100), 'name').optional(),
    deliver_at: instant.optional(),
    expires_at: instant.optional(),
    binding: z
      .literal('bearer', 'only "bearer" is offered in this version')
      .default('bearer')
      .meta({ description: 'What the recipient must prove: whoever has the link may claim' }),
    external_id: z.string().min(1).max(255).optional().meta({ description: 'Your own id, unique for ever' }),
    metadata: metadata.default({}),
  })
  .meta({ id: 'GiftRequest' });

export type GiftRequest = z.output<typeof giftRequestSchema>;
