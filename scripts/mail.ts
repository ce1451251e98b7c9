/** `npm run mail -- stop | start`: takes the mail server of the running system away and brings it back. */
import { tellRunning } from './embedded/control.ts';

const action = process.argv[2];
if (action === 'start' || action === 'stop') process.exitCode = await tellRunning(`mail ${action}`);
else {
  const given = action === undefined ? 'nothing was said' : `there is no "${action}"`;
  console.error(`npm run mail needs stop or start: ${given}. (npm run mail -- --help says more)`);
  process.exitCode = 2;
}
