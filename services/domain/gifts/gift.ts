import type { Binding, Channel, FailureClass, GiftState } from '../../database/states.ts';
import { fromUuid, type GiftId, type SenderId } from '../ids.ts';
import type { Money } from '../money.ts';

/** A gift as everything but the database sees it. `recipient` is masked; the sealed original stays in its row. */
export type Gift = {
  id: GiftId;
  senderId: SenderId;
  state: GiftState;
  value: Money;
  channel: Channel;
  recipientMasked: string;
  binding: Binding;
  claimVersion: number;
  deliverAt: Date | null;
  expiresAt: Date | null;
  externalId: string | null;
  metadata: Record<string, string>;
  failure: { class: FailureClass; code: string } | null;
  /** since when it waits for the reconciler; null while it is being tried, and once it has ended */
  deadLetteredAt: Date | null;
  createdAt: Date;
  stateChangedAt: Date;
};

/** Where each state may go. The database refuses everything else too (gifts_transition_legal). */
export const giftTransitions: Readonly<Record<GiftState, readonly GiftState[]>> = {
  held: ['queued', 'scheduled', 'rejected', 'cancelled', 'expired'],
  scheduled: ['queued', 'cancelled', 'expired'],
  queued: ['delivering', 'failed', 'cancelled', 'expired'],
  delivering: ['queued', 'delivered', 'failed', 'cancelled'],
  delivered: ['claimed', 'cancelled', 'expired'],
  claimed: [],
  failed: [],
  rejected: [],
  cancelled: [],
  expired: [],
};

/** In which gifts begin. Nothing holds gifts back yet. */
const firstStates: readonly GiftState[] = ['scheduled', 'queued'];

export const giftStates = Object.keys(giftTransitions) as GiftState[];

/** The states that a gift of this version can come into: no request, and no list, has another. */
export const reachableGiftStates: readonly GiftState[] = reachable(firstStates);

function reachable(from: readonly GiftState[]): GiftState[] {
  const states = new Set(from);
  for (const state of states) for (const next of giftTransitions[state]) states.add(next);
  return [...states];
}

function canGo(from: GiftState, to: GiftState): boolean {
  return giftTransitions[from].includes(to);
}

export function statesBefore(to: GiftState): GiftState[] {
  return (Object.keys(giftTransitions) as GiftState[]).filter((from) => canGo(from, to));
}

/** The columns a {@link Gift} is read from: gifts joined with the mask of its recipient. */
export type GiftRow = {
  id: string;
  sender_id: string;
  state: GiftState;
  amount_minor: number;
  currency: string;
  channel: Channel;
  masked: string;
  binding: Binding;
  claim_version: number;
  deliver_at: Date | null;
  expires_at: Date | null;
  external_id: string | null;
  metadata: Record<string, string>;
  failure_class: FailureClass | null;
  failure_code: string | null;
  dead_lettered_at: Date | null;
  created_at: Date;
  state_changed_at: Date;
};

export function toGift(row: GiftRow): Gift {
  return {
    id: fromUuid('gft', row.id),
    senderId: fromUuid('sen', row.sender_id),
    state: row.state,
    value: { amount: row.amount_minor, currency: row.currency },
    channel: row.channel,
    recipientMasked: row.masked,
    binding: row.binding,
    claimVersion: row.claim_version,
    deliverAt: row.deliver_at,
    expiresAt: row.expires_at,
    externalId: row.external_id,
    metadata: row.metadata,
    failure: failureOf(row),
    deadLetteredAt: isUnderWay(row) ? row.dead_lettered_at : null,
    createdAt: row.created_at,
    stateChangedAt: row.state_changed_at,
  };
}

/** A queue gives up a message that it has delivered too often, and then nobody has recorded why. */
function failureOf(row: GiftRow): Gift['failure'] {
  if (row.failure_class) return { class: row.failure_class, code: row.failure_code ?? 'unexpected_error' };
  return row.dead_lettered_at && isUnderWay(row) ? { class: 'unknown', code: 'given_up_by_queue' } : null;
}

function isUnderWay({ state }: GiftRow): boolean {
  return state === 'queued' || state === 'delivering';
}
