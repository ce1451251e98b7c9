import { setTimeout as wait } from 'node:timers/promises';
import type { Part } from './part.ts';
import { POSTGRES_LOG } from './postgres.ts';
import type { Progress } from './progress.ts';

export interface Crash {
  part: Part;
  how: string;
  progress: Progress;
  isStopping: () => boolean;
  onRestarted: () => void;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** Our own programs hold no state and are started again; of a server, only a person knows whether that is safe. */
const ADVICE: Record<string, string> = {
  postgres: `Its log is in ${POSTGRES_LOG}. Press Ctrl-C and run npm start again; the data are kept.`,
  sqs: 'Press Ctrl-C and run npm start again; the messages are kept, and lost ones are found by the reconciler.',
  mail: 'Start it again with: npm run mail -- start',
};

/** Says what happened to a part that ended by itself and, for the API and the consumer, starts it again. */
export function restartAfterCrash(crash: Crash): void {
  const { part, how, progress } = crash;
  const advice = ADVICE[part.spec.name];
  if (advice !== undefined) {
    progress.warn(`${part.spec.name} ${how} although nobody asked it to. ${advice}`);
    return;
  }
  void restartUntilUp(crash);
}

/** A part that comes up and soon ends again starts from the first pause: a second per crash is not a busy loop. */
async function restartUntilUp({ part, how, progress, isStopping, onRestarted }: Crash): Promise<void> {
  let reason = how;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    progress.warn(`${part.spec.name} ${reason}: starting it again in ${pauseMs / 1000} s.`);
    await wait(pauseMs);
    if (isStopping()) return;
    try {
      await part.start();
      if (isStopping()) return;
      onRestarted();
      progress.say(`${part.spec.name} is back.`);
      return;
    } catch (error) {
      reason = error instanceof Error ? error.message.replace(`${part.spec.name} `, '') : String(error);
    }
  }
}
