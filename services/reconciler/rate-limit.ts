/** Says how long to wait before the next messages may go. */
export type RateLimit = {
  /** most messages that may be taken at once */
  burst: number;
  /** Takes `count` (at most {@link burst}) and answers the milliseconds to wait before acting on them. */
  take: (count: number) => number;
};

/**
 * A token bucket. It holds half a second's worth at most, so that over any 10 s no more than 10.5 times the rate is
 * taken, and a pause of the caller (a slow statement) is caught up with instead of lost.
 * @param nowMs a clock that never goes back
 */
export function createRateLimit(ratePerSecond: number, nowMs: () => number): RateLimit {
  const burst = Math.max(1, Math.floor(ratePerSecond / 2));
  let tokens = burst;
  let filledAtMs = nowMs();
  return {
    burst,
    take(count) {
      if (count > burst) throw new RangeError(`${count} messages at once, of at most ${burst}`);
      const now = nowMs();
      tokens = Math.min(burst, tokens + ((now - filledAtMs) * ratePerSecond) / 1_000) - count;
      filledAtMs = now;
      return tokens >= 0 ? 0 : (-tokens * 1_000) / ratePerSecond;
    },
  };
}
