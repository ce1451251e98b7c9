/** `npm run interop [-- Jest options]`: the main job on other implementations of SQS, fetched at their first use. */
import { runJest } from './testing/run-jest.ts';

process.exitCode = await runJest('test/interop/jest.config.js', process.argv.slice(2));
