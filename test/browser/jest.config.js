import base from '../jest.config.js';

/** Run by `npm run browser` alone: these tests need a Chromium, which `npm test` must do without. */
export default {
  ...base,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/browser/**/*.test.ts'],
};
