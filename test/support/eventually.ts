import { setTimeout as wait } from 'node:timers/promises';

/** Repeats an assertion until it passes; past the deadline it throws the assertion's last error. Returns what the assertion returns. */
export async function eventually<T>(
  assertion: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 20 }: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
      await wait(intervalMs);
    }
  }
}
