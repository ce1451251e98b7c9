/** `npm stop`: stops the system that runs from this clone, when its terminal is out of reach. */
import { tellRunning } from './embedded/control.ts';

process.exitCode = await tellRunning('stop');
