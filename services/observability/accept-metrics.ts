import type { Counter, Gauge } from 'prom-client';

type Make<M extends 'counter' | 'gauge'> = <L extends string = never>(
  name: string,
  help: string,
  labels?: readonly L[],
) => M extends 'counter' ? Counter<L> : Gauge<L>;

/** How accepts and claims fare, made by the makers of `metrics.ts`. */
export function acceptMetrics({ counter, gauge }: { counter: Make<'counter'>; gauge: Make<'gauge'> }) {
  return {
    giftsAccepted: counter('gifts_accepted_total', 'Gifts accepted.', ['recipient_type']),
    giftsAcceptedValue: counter(
      'gifts_accepted_value_minor_total',
      'Value of the gifts accepted, in minor units of their currency.',
      ['currency'],
    ),
    giftsClaimed: counter('gifts_claimed_total', 'Gifts that their recipient has claimed.'),
    acceptsWaiting: gauge(
      'accepts_waiting',
      'Requests whose gift no statement has taken yet, with all others or with their own sender alone.',
      ['lane'],
    ),
    acceptsBusy: counter(
      'accepts_busy_total',
      'Times that a gift was not decided, as somebody held the account of its sender.',
    ),
    acceptsDropped: counter(
      'accepts_dropped_total',
      'Requests that were given up before they had an outcome: the caller went away, or it took too long.',
      ['reason'],
    ),
  };
}
