import { createHash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import { toUuid } from '../../domain/ids.ts';
import { formatMoney } from '../../domain/money.ts';
import type { AskedKey, Once } from '../../domain/once.ts';
import { creditTopupOnce, type Topup, type TopupDraft } from '../../domain/payments/credit-topup.ts';
import { listFundingAccounts } from '../../domain/payments/funding-accounts.ts';
import { command, senderMustExist } from '../command.ts';
import { currency, id, listLimit, optional, required, shortText, wholeNumber } from '../options.ts';
import { Unreachable, UsageError } from '../refusals.ts';
import { table } from '../table.ts';

/** As over the API: far below where sums of minor units stop being exact integers. */
const maxTopupMinor = 100_000_000_000;

const sender = required(id('sen', 'a sender'));

export const fundingCommands = [
  command({
    name: 'top-up',
    summary: 'credit money that arrived outside to a sender',
    details: 'The same key credits once, however often the command is repeated; its answer says "replayed".',
    options: {
      sender,
      amount: required(wholeNumber(1, maxTopupMinor, 'in minor units: 2500 is 25 euros')),
      currency: required(currency),
      idempotencyKey: required(shortText('of your choice, a new one for each top-up: an invoice number')),
      reference: optional(shortText('your own note: a bank transfer')),
    },
    run: async ({ withDatabase }, given) => {
      const value = { amount: given.amount, currency: given.currency };
      const draft = {
        senderId: given.sender,
        value,
        reference: given.reference ?? null,
        apiKeyId: null,
        requestId: null,
      };
      const key = keyOf(given.idempotencyKey, draft);
      const answerOf = (topup: Topup) => ({ status: 201, body: toJson(topup), location: null });
      const credited = await withDatabase((db) =>
        creditTopupOnce(db, draft, { key, answerOf }).catch(explainRefusal),
      );
      const { answer, replayed } = answerOrRefusal(credited);
      const topup = answer as ReturnType<typeof toJson>;
      return {
        json: { ...topup, replayed },
        text: replayed
          ? `replayed, nothing more is credited: ${topup.id}, ${formatMoney(value)} to ${given.sender}`
          : `${topup.id}: ${formatMoney(value)} is credited to ${given.sender}`,
      };
    },
  }),
  command({
    name: 'list-funding-accounts',
    summary: "a sender's balances, by currency",
    details: 'With --json in minor units, as the API tells them: 2500 is 25 euros.',
    options: { sender, limit: listLimit, after: optional(id('fac', 'the last account of the page before')) },
    run: async ({ withDatabase }, { sender: of, limit, after }) => {
      const page = { limit, after: after === undefined ? null : toUuid(after), before: null };
      const found = await withDatabase(async (db) => {
        await senderMustExist(db, of);
        return await listFundingAccounts(db, of, page);
      });
      const next = (found.next && found.accounts.at(-1)?.id) || null;
      const accounts = found.accounts.map((one) => ({
        id: one.id,
        sender_id: one.senderId,
        currency: one.currency,
        available: one.availableMinor,
        reserved: one.reservedMinor,
        created_at: one.createdAt.toISOString(),
      }));
      const rows = accounts.map((one) => [
        one.id,
        one.currency,
        shown(one.currency, one.available),
        shown(one.currency, one.reserved),
      ]);
      return {
        json: { funding_accounts: accounts, next },
        text: table(['ID', 'CURRENCY', 'AVAILABLE', 'RESERVED'], rows, next),
      };
    },
  }),
];

function shown(currency: string, amount: number): string {
  return formatMoney({ amount, currency });
}

/** Apart from the keys that the sender's own programs choose. */
function keyOf(key: string, { senderId, value, reference }: TopupDraft): AskedKey {
  const asked = JSON.stringify([senderId, value.amount, value.currency, reference]);
  return {
    scopeId: toUuid(senderId),
    key: `admin:${key}`,
    fingerprint: createHash('sha256').update(asked).digest(),
  };
}

function answerOrRefusal(credited: Once<Topup>): { answer: unknown; replayed: boolean } {
  switch (credited.kind) {
    case 'done':
      return { answer: toJson(credited.result), replayed: false };
    case 'replay':
      return { answer: credited.body, replayed: true };
    case 'mismatch':
      throw new UsageError('--idempotency-key was used for a different top-up; use a new one');
    case 'in_progress':
      throw new Unreachable('a top-up with this --idempotency-key is still running; repeat it in a moment');
  }
}

function toJson({ id, senderId, fundingAccountId, value, reference, createdAt }: Topup) {
  return {
    id,
    sender_id: senderId,
    funding_account_id: fundingAccountId,
    value,
    reference,
    created_at: createdAt.toISOString(),
  };
}

function explainRefusal(error: unknown): never {
  if (error instanceof DomainError && error.code === 'validation_failed') {
    throw new UsageError(error.message, { cause: error });
  }
  if (error instanceof DomainError && error.code === 'unavailable') {
    throw new Unreachable(error.message, { cause: error });
  }
  throw error;
}
