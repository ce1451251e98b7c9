import base from '../jest.config.js';

/** Run by `npm run interop` alone: these tests fetch servers of other makers, which `npm test` must do without. */
export default {
  ...base,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/interop/**/*.test.ts'],
  testTimeout: 120_000,
};
