/** Now. A parameter wherever time decides something, so that a test can hold it still. */
export type Clock = () => Date;

/** A number in [0, 1). For jitter only: secrets and codes come from `node:crypto`. */
export type Random = () => number;

export const systemClock: Clock = () => new Date();

export const systemRandom: Random = Math.random;
