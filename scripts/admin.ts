/** `npm run admin -- <command>`: the admin program on the running system. */
import { runRoleOrHelp } from './embedded/run-role.ts';

process.exitCode = await runRoleOrHelp(['services/admin/main.ts', ...process.argv.slice(2)]);
