import { startEmulator } from '../support/emulator.ts';

/** Runs the emulator in a process of its own, so that it does not compete with what is measured for one event loop. */
const emulator = await startEmulator();
process.send?.({ endpoint: emulator.endpoint, region: emulator.region });
process.on('disconnect', () => process.exit(0));
