/** `npm run admin -- <command>`: the admin program on the running system. */
import { runRoleOrHelp } from './embedded/run-role.ts';

const asked = process.argv.slice(2);
/** What works on a keyring file or on an id needs no running system. */
const needsNothing = asked[0] === 'show-id' || asked.some((arg) => /^--file(=|$)/.test(arg));
process.exitCode = await runRoleOrHelp(['services/admin/main.ts', ...asked], {}, { needsNothing });
