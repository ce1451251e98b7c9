/** `npm test [-- path or Jest options]`: every test that needs no cluster and no browser. */
import { runJest } from './testing/run-jest.ts';

process.exitCode = await runJest('test/jest.config.js', process.argv.slice(2));
