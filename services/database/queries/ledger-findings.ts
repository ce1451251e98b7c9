import { type RawBuilder, sql } from 'kysely';

/** One thing that breaks an invariant: rows of `(invariant, subject_id, broken)`. The subject is a gift or a transfer. */
export const giftInvariants = [
  'reserved_once',
  'reserved_matches_gifts',
  'under_way_only_reserved',
  'delivered_committed',
  'ended_refunded',
  'one_voucher_per_delivered_gift',
  'outstanding_matches_vouchers',
  'one_claim_per_claimed_gift',
] as const;
export const transferInvariants = ['transfers_balanced', 'transfers_not_empty'] as const;

/** When a transfer was posted, by the database's clock; of those from before it was kept, when it was made. */
export const postedAt = sql`coalesce(t.posted_at, t.created_at)`;

const underWay = sql`g.state in ('held', 'scheduled', 'queued', 'delivering')`;
const delivered = sql`g.state in ('delivered', 'claimed')`;

/** Whether a gift's money moved otherwise than so often reserved, committed, released, returned. */
const movedOtherThan = (moves: RawBuilder<unknown>) =>
  sql`(m.reserves, m.commits, m.releases, m.returns) is distinct from (${moves})`;
const notReleased = movedOtherThan(sql`1, 0, 1, 0`);

/** What breaks an invariant among the gifts that `ids` selects, each by look-ups of its own. */
export function giftFindings(ids: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`select finding.invariant, g.id::text as subject_id, finding.broken
    from (${ids}) asked (id)
    join gifts g on g.id = asked.id
    cross join lateral (select count(*) filter (where v.amount_minor = g.amount_minor) as own,
        coalesce(sum(v.balance_minor), 0) as balance, array_agg(v.id) as ids
      from vouchers v where v.gift_id = g.id) v
    cross join lateral (select count(distinct t.id) filter (where t.kind = 'reserve') as reserves,
        count(distinct t.id) filter (where t.kind = 'commit') as commits,
        count(distinct t.id) filter (where t.kind = 'release') as releases,
        count(distinct t.id) filter (where t.kind = 'return') as returns,
        count(*) filter (where t.kind = 'reserve' and e.amount_minor = g.amount_minor) as own,
        coalesce(sum(e.amount_minor) filter (where a.kind = 'reserved'), 0) as reserved,
        coalesce(sum(e.amount_minor) filter (where a.kind in ('outstanding', 'held')), 0) as outstanding
      from ledger_transfers t
      left join ledger_entries e on e.transfer_id = t.id
      left join ledger_accounts a on a.id = e.account_id
      where coalesce(t.gift_id, t.topup_id, t.subject_id) = any (g.id || coalesce(v.ids, '{}'))) m
    cross join lateral (values
      ('reserved_once', (m.own <> 1)::int::bigint),
      ('reserved_matches_gifts', (m.reserved <> case when ${underWay} then g.amount_minor else 0 end)::int::bigint),
      ('under_way_only_reserved', (${underWay} and ${movedOtherThan(sql`1, 0, 0, 0`)})::int::bigint),
      ('delivered_committed', (${delivered} and ${movedOtherThan(sql`1, 1, 0, 0`)})::int::bigint),
      ('ended_refunded', ((g.state in ('failed', 'rejected') and ${notReleased})
        or (g.state in ('cancelled', 'expired') and ${notReleased} and ${movedOtherThan(sql`1, 1, 0, 1`)}))::int::bigint),
      ('one_voucher_per_delivered_gift', (${delivered} and v.own <> 1)::int::bigint),
      ('outstanding_matches_vouchers', abs(m.outstanding - case when ${delivered} then v.balance else 0 end)::bigint),
      ('one_claim_per_claimed_gift',
        ((g.state = 'claimed') <> exists (select 1 from claims c where c.gift_id = g.id))::int::bigint)
    ) finding (invariant, broken)
    where finding.broken <> 0`;
}

/** The same among the transfers that fit `which`, a condition on `t`. */
export function transferFindings(which: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`select finding.invariant, t.id::text as subject_id, 1::bigint as broken
    from ledger_transfers t
    cross join lateral (select count(*) as entries, bool_or(total <> 0) as unbalanced from (
      select sum(e.amount_minor) as total from ledger_entries e where e.transfer_id = t.id group by e.currency) sums) m
    cross join lateral (values ('transfers_not_empty', m.entries = 0), ('transfers_balanced', m.unbalanced))
      finding (invariant, broken)
    where ${which} and finding.broken`;
}
