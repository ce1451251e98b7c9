/** Resolves after `pauseMs`, or at once when `signal` is or becomes aborted; never rejects and leaves no listener behind. */
export function pause(pauseMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, pauseMs);
    signal.addEventListener('abort', wake);
    if (signal.aborted) wake();
  });
}

/** Whether `promise` settled within `limitMs`. What it settles to is its owner's business. */
export async function settlesWithin(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  const limit = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => limit.resolve(false), Math.max(0, limitMs));
  try {
    return await Promise.race([settled, limit.promise]);
  } finally {
    clearTimeout(timer);
  }
}
