import { randomFillSync } from 'node:crypto';

/**
 * UUIDv7s of one process, each later in order than the one before it, whatever the clock does: a clock that is set back
 * stands still for the ids until it has caught up, and those of one millisecond count on. 30 bits below the time are the
 * counter, begun at random in the lower half of its range; the other 44 are random.
 *
 * @param nowMs the wall clock
 */
export function monotonicUuids(nowMs: () => number = Date.now): () => string {
  let atMs = Number.NEGATIVE_INFINITY;
  let count = 0;
  const random = randomSource();
  return () => {
    const now = nowMs();
    if (now > atMs) {
      atMs = now;
      count = random.uint32() >>> 3;
    } else if (count === counterMax) {
      atMs += 1;
      count = random.uint32() >>> 3;
    } else count += 1;
    return format(atMs, count, random.uint48());
  };
}

const counterMax = 2 ** 30 - 1;

/** Version 7 stands above the counter's upper 12 bits, the variant above its lower 18. */
function format(ms: number, count: number, random: number): string {
  const time = ms.toString(16).padStart(12, '0');
  const upper = (count >>> 18).toString(16).padStart(3, '0');
  const lower = count & 0x3ffff;
  const variant = (0x8000 | (lower >>> 4)).toString(16);
  const tail = ((lower & 0xf) * 2 ** 44 + (random % 2 ** 44)).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${upper}-${variant}-${tail}`;
}

/** Drawn in blocks: one call to the kernel for each id would cost more than the id. */
function randomSource() {
  const block = Buffer.alloc(8_192);
  let used = block.length;
  const take = (bytes: number): number => {
    if (used + bytes > block.length) {
      randomFillSync(block);
      used = 0;
    }
    used += bytes;
    return used - bytes;
  };
  return {
    uint32: () => block.readUInt32BE(take(4)),
    uint48: () => block.readUIntBE(take(6), 6),
  };
}
