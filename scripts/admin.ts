/** `npm run admin -- create-sender --name N | create-key … | migrate`: the admin program on the running system. */
import { runRole } from './embedded/run-role.ts';

process.exitCode = await runRole(['services/admin/main.ts', ...process.argv.slice(2)]);
