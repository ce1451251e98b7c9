import type { Migration } from 'kysely/migration';
import type { Holds } from '../hold-tables.ts';
import * as senders from './2026-11-21-001-senders.ts';
import * as ledger from './2026-11-21-002-ledger.ts';
import * as gifts from './2026-11-21-003-gifts.ts';
import * as deliveries from './2026-11-21-004-deliveries.ts';
import * as messaging from './2026-11-21-005-messaging.ts';
import * as deadLetters from './2026-11-21-006-dead-letters.ts';
import * as deadLetterHistory from './2026-11-21-007-dead-letter-history.ts';
import * as mailInDoubt from './2026-11-28-100-mail-in-doubt.ts';
import * as queuePauses from './2026-11-28-101-queue-pauses.ts';
import * as pardonedRedrives from './2026-11-28-110-pardoned-redrives.ts';
import * as endsEndChildren from './2026-11-28-111-ends-end-children.ts';
import * as parkedOutbox from './2026-11-28-120-parked-outbox.ts';
import * as balances from './2026-11-28-140-balances.ts';
import * as decideAccepts from './2026-11-28-141-decide-accepts.ts';
import * as ledgerVocabulary from './2026-11-28-150-ledger-vocabulary.ts';
import * as ledgerSubjects from './2026-11-28-151-ledger-subjects.ts';
import * as ledgerPeriods from './2026-11-28-152-ledger-periods.ts';
import * as slidingBudgets from './2026-11-28-170-sliding-budgets.ts';
import * as giftFilters from './2026-11-28-171-gift-filters.ts';
import * as lookupVersions from './2026-11-28-180-lookup-versions.ts';
import * as keyringKeys from './2026-11-28-185-keyring-keys.ts';
import * as ledgerOwners from './2026-11-28-190-ledger-owners.ts';
import * as partitions from './2026-11-28-200-partitions.ts';
import * as monthsPromised from './2026-11-28-201-months-promised.ts';
import * as monthsAsked from './2026-11-28-202-months-asked.ts';
import * as monthsApart from './2026-11-28-203-months-apart.ts';
import * as monthsAhead from './2026-11-28-204-months-ahead.ts';
import * as slimLedger from './2026-11-28-210-slim-ledger.ts';
import * as decideWithoutQueries from './2026-11-28-211-decide-without-queries.ts';
import * as recountAccounts from './2026-11-28-212-recount-accounts.ts';
import * as maybeOut from './2026-11-28-220-maybe-out.ts';
import * as appendedBudgets from './2026-11-28-230-appended-budgets.ts';

export type SchemaMigration = Migration & Holds;

/**
 * Named imports rather than a folder scan: a bundle has no folder. Keys order the migrations and never change.
 * What a migration holds stands here for those that landed before it was asked; a new one exports it beside `up`.
 */
export const migrations: Record<string, SchemaMigration> = {
  '2026-11-21-001-senders': senders,
  '2026-11-21-002-ledger': { ...ledger, holdsWrites: ['senders'] },
  '2026-11-21-003-gifts': { ...gifts, holdsWrites: ['funding_accounts', 'senders'] },
  '2026-11-21-004-deliveries': { ...deliveries, holdsWrites: ['gifts'] },
  '2026-11-21-005-messaging': messaging,
  '2026-11-21-006-dead-letters': deadLetters,
  '2026-11-21-007-dead-letter-history': { ...deadLetterHistory, holds: ['dead_letters'] },
  '2026-11-28-100-mail-in-doubt': { ...mailInDoubt, holds: ['delivery_attempts'] },
  '2026-11-28-101-queue-pauses': queuePauses,
  '2026-11-28-110-pardoned-redrives': { ...pardonedRedrives, holds: ['dead_letters'] },
  '2026-11-28-111-ends-end-children': {
    ...endsEndChildren,
    holdsWrites: ['deliveries', 'delivery_attempts', 'gifts'],
  },
  '2026-11-28-120-parked-outbox': { ...parkedOutbox, holdsWrites: ['outbox'] },
  '2026-11-28-140-balances': { ...balances, holdsWrites: ['ledger_accounts', 'ledger_entries'] },
  '2026-11-28-141-decide-accepts': decideAccepts,
  '2026-11-28-150-ledger-vocabulary': { ...ledgerVocabulary, holds: ['ledger_accounts', 'ledger_transfers'] },
  '2026-11-28-151-ledger-subjects': {
    ...ledgerSubjects,
    holds: ['ledger_transfers'],
    holdsWrites: ['gifts', 'topups', 'vouchers'],
  },
  '2026-11-28-152-ledger-periods': {
    ...ledgerPeriods,
    holds: ['ledger_transfers'],
    holdsWrites: ['dead_letters'],
  },
  '2026-11-28-170-sliding-budgets': { ...slidingBudgets, holds: ['rate_limits'] },
  '2026-11-28-171-gift-filters': { ...giftFilters, holdsWrites: ['gifts'] },
  '2026-11-28-180-lookup-versions': { ...lookupVersions, holds: ['api_keys', 'vouchers'] },
  '2026-11-28-185-keyring-keys': keyringKeys,
  '2026-11-28-190-ledger-owners': { ...ledgerOwners, holds: ['ledger_transfers'] },
  '2026-11-28-200-partitions': partitions,
  '2026-11-28-201-months-promised': monthsPromised,
  '2026-11-28-202-months-asked': monthsAsked,
  '2026-11-28-203-months-apart': monthsApart,
  '2026-11-28-204-months-ahead': monthsAhead,
  '2026-11-28-210-slim-ledger': slimLedger,
  '2026-11-28-211-decide-without-queries': decideWithoutQueries,
  '2026-11-28-212-recount-accounts': recountAccounts,
  '2026-11-28-220-maybe-out': maybeOut,
  '2026-11-28-230-appended-budgets': appendedBudgets,
};
