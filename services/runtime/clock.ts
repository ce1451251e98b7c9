/** Now. A parameter wherever time decides something, so that a test can hold it still. */
export type Clock = () => Date;

/** A number in [0, 1). For jitter only: secrets and codes come from `node:crypto`. */
export type Random = () => number;

export const systemClock: Clock = () => new Date();

/** For what is measured and not dated: it goes on as it began, whatever the clock of the system is set to. */
export const steadyClock: Clock = () => new Date(performance.timeOrigin + performance.now());

export const systemRandom: Random = Math.random;
