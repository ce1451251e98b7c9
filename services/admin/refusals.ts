/** What was asked for makes no sense, or is not there. The message is one sentence that says what to change. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What a command needs can't be reached, does not let it in, or is in use just now: repeated, the command may succeed. The message is one sentence that names the variable. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}
