export interface BackoffOptions {
  /** 1 for the first failure. */
  readonly attempt: number;
  readonly baseMs?: number;
  readonly capMs?: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** What the other side asked for: a lower bound, even above the cap. */
  readonly retryAfterMs?: number;
}

/**
 * Full jitter: uniform in [0, min(cap, base * 2^attempt)), never under `retryAfterMs`. Upper bounds with the defaults:
 *
 * | attempt |  1  |  2  |   3  |   4  |   5  |   6  |    7  |    8  |  9+   |
 * |---------|-----|-----|------|------|------|------|-------|-------|-------|
 * | <       | 4 s | 8 s | 16 s | 32 s | 64 s | 128 s| 256 s | 512 s | 900 s |
 *
 * Full rather than equal jitter, because what failed together must not come back together.
 */
export function fullJitterMs(options: BackoffOptions): number {
  const ceilingMs = ceiling(options.attempt, options.baseMs ?? 2_000, options.capMs ?? 900_000);
  const jitteredMs = Math.floor(options.random() * ceilingMs);
  return Math.max(jitteredMs, options.retryAfterMs ?? 0);
}

/**
 * Pause of a loop that polls: after the first failure 50-250 ms (a kept-alive socket that died), then uniform between half
 * and all of 2, 4, 8, 16, 30, 30… s. From the second failure on it is never under 1 s: at most one request per second.
 */
export function loopPauseMs(consecutiveFailures: number, random: () => number): number {
  if (consecutiveFailures <= 1) return 50 + Math.floor(random() * 200);
  const ceilingMs = ceiling(consecutiveFailures - 1, 1_000, 30_000);
  return Math.floor(ceilingMs / 2 + (random() * ceilingMs) / 2);
}

/**
 * Shortest time from one empty receive to the next where the answers come at once, although they should have waited (a
 * proxy or emulator that ignores the wait): between half and all of 100, 200, 400, 800, 1,600, 2,000, 2,000… ms. One such
 * answer costs next to nothing; from the fifth on there is less than one request a second, and a message waits for 2 s at most.
 */
export function emptyPaceMs(consecutive: number, random: () => number): number {
  const ceilingMs = ceiling(consecutive - 1, 100, 2_000);
  return Math.floor(ceilingMs / 2 + (random() * ceilingMs) / 2);
}

function ceiling(attempt: number, baseMs: number, capMs: number): number {
  // 2^30 of any base is above any cap; without the bound a huge attempt overflows to Infinity.
  const exponent = Math.min(Math.max(Math.trunc(attempt), 0), 30);
  return Math.min(capMs, baseMs * 2 ** exponent);
}
