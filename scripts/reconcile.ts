/** `npm run reconcile -- [--dry-run]`: runs the reconciler once against the running system. */
import { RECONCILER_LOG_LEVEL } from './embedded/reconciling.ts';
import { runRoleOrHelp } from './embedded/run-role.ts';

process.exitCode = await runRoleOrHelp(['services/reconciler/main.ts', ...process.argv.slice(2)], {
  LOG_LEVEL: RECONCILER_LOG_LEVEL,
});
