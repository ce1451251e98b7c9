import { unparkDeadLetter } from '../database/queries/reconciler-quarantine.ts';
import { isId, toUuid } from '../domain/ids.ts';
import type { ReconcilerDeps } from './run.ts';
import { exitCodes } from './run-report.ts';

/** Sends one quarantined unreadable message to its queue again. @returns the exit code */
export async function unpark(
  { db, log }: Pick<ReconcilerDeps, 'db' | 'log'>,
  id: string,
  queueName: string,
): Promise<number> {
  const found = isId('ddl', id) && (await unparkDeadLetter(db, { id: toUuid(id), queueName }));
  if (found) {
    log.info('a quarantined message goes to its queue again', {
      event: 'dead_letter_unparked',
      dead_letter_id: id,
    });
    return exitCodes.converged;
  }
  log.error(
    'there is no quarantined unreadable message of this id; GET /v1/dead-letters?verdict=quarantine lists them',
    {
      event: 'dead_letter_not_parked',
      dead_letter_id: isId('ddl', id) ? id : undefined,
    },
  );
  return exitCodes.needs_person;
}
