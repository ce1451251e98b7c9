import type { DeliveryPurpose } from '../../database/states.ts';
import { formatMoney, type Money } from '../money.ts';
import { layOut, type MailContent } from './mail-layout.ts';
import type { MailText } from './mail-text.ts';
import { formatDeadline, severalLines, shownName } from './shown-text.ts';

/** What a mail about a gift tells its recipient. */
export type GiftMail = {
  senderName: string;
  value: Money;
  /** the sender's own words */
  message: string | undefined;
  claimUrl: string;
  expiresAt: Date | null;
};

/** The mail for a delivery of this purpose. Pure: the same gift always gets the same words, however often it is sent. */
export function giftMail(purpose: DeliveryPurpose, gift: GiftMail): MailText {
  const sender = shownName(gift.senderName);
  const value = formatMoney(gift.value);
  return layOut({
    ...opening[purpose](sender, value, gift.expiresAt),
    quote: gift.message ? severalLines(gift.message) : [],
    button: { label: 'Claim your gift', url: gift.claimUrl },
    notes: closing(gift.expiresAt),
  });
}

type Opening = Pick<MailContent, 'subject' | 'heading' | 'paragraphs'>;

const opening: Record<DeliveryPurpose, (sender: string, value: string, expiresAt: Date | null) => Opening> = {
  gift: (sender, value) => ({
    subject: `${sender} sent you a gift of ${value}`,
    heading: `You have received a gift of ${value}`,
    paragraphs: [`${sender} sent you a voucher worth ${value}.`],
  }),
  resend: (sender, value) => ({
    subject: `Your gift of ${value} from ${sender}, sent again`,
    heading: `Your gift of ${value} is waiting for you`,
    paragraphs: [
      `${sender} asked us to send you this voucher worth ${value} once more. It is the same gift as before, not another one.`,
    ],
  }),
  reminder: (sender, value, expiresAt) => ({
    subject: `Your gift of ${value} from ${sender} expires soon`,
    heading: `Your gift of ${value} expires soon`,
    paragraphs: [
      `${sender} sent you a voucher worth ${value}. You have not claimed it yet${
        expiresAt ? `, and it expires on ${formatDeadline(expiresAt)}` : ''
      }.`,
    ],
  }),
};

function closing(expiresAt: Date | null): string[] {
  return [
    ...(expiresAt ? [`You can claim it until ${formatDeadline(expiresAt)}.`] : []),
    'This link is as good as the gift itself: do not pass it on unless you mean to give the gift away.',
  ];
}
