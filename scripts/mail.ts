/** `npm run mail -- stop | start`: takes the mail server of the running system away and brings it back. */
import { tellRunning } from './embedded/control.ts';

const action = process.argv[2];
if (action === 'start' || action === 'stop') process.exitCode = await tellRunning(`mail ${action}`);
else {
  console.error('Usage: npm run mail -- stop | start');
  process.exitCode = 2;
}
