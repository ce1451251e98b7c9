/** `npm run browser [-- Jest options]`: the tests of the pages in a real Chromium. Without one, exit code 3: nothing was tested. */
import { findChromium } from './testing/chromium.ts';
import { runJest } from './testing/run-jest.ts';

const WITHOUT_CHROMIUM = 3;

if (findChromium(process.env) === undefined) {
  console.error(
    'No Chromium was found, so no page was tested. Install one (apt-get install chromium) or set CHROMIUM_PATH to its program.',
  );
  process.exitCode = WITHOUT_CHROMIUM;
} else process.exitCode = await runJest('test/browser/jest.config.js', process.argv.slice(2));
