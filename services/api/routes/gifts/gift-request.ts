import { z } from 'zod';
import { currencies, currencyListDate } from '../../../domain/currencies.ts';
import { maxAmountMinor } from '../../../domain/money.ts';
import { markSensitive } from '../../../observability/redact.ts';
import { text } from '../text-schema.ts';
import { recipientSchema } from './recipient-request.ts';

export const currencySchema = z
  .enum(currencies, 'must be the ISO 4217 code of a currency in circulation, in upper case, such as "EUR"')
  .meta({
    id: 'Currency',
    description: `ISO 4217 code of a currency in circulation, as of ${currencyListDate}`,
    examples: ['EUR'],
  });

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

const instant = z.iso
  .datetime({ offset: true, error: 'must be an RFC 3339 time, such as 2027-01-31T09:00:00Z' })
  .meta({ examples: ['2027-01-31T09:00:00Z'] });

const metadata = z
  .record(text(40, { except: '__proto__' }), text(500, { mayBeEmpty: true }))
  .refine((entries) => Object.keys(entries).length <= 50, 'must have at most 50 entries')
  .meta({
    description: 'Up to 50 pairs of your own; never personal data',
    override: { maxProperties: 50 },
  });

export const giftRequestSchema = z
  .strictObject({
    value: moneySchema,
    recipient: recipientSchema,
    message: markSensitive(text(2_000, { visible: true }), 'text').optional(),
    sender_name: markSensitive(text(100, { oneLine: true, visible: true }), 'name').optional(),
    deliver_at: instant.optional(),
    expires_at: instant.optional(),
    binding: z
      .literal('bearer', 'only "bearer" is offered in this version')
      .default('bearer')
      .meta({ description: 'What the recipient must prove: whoever has the link may claim' }),
    external_id: text(255).optional().meta({ description: 'Your own id, unique for ever' }),
    metadata: metadata.default({}),
  })
  .meta({ id: 'GiftRequest' });

export type GiftRequest = z.output<typeof giftRequestSchema>;
