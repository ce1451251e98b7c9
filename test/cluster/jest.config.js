import base from '../jest.config.js';

const { globalSetup: _database, globalTeardown: _drop, ...shared } = base;

/** Run by `npm run cluster` alone: these tests need a cluster, in which each makes a namespace of its own. */
export default {
  ...shared,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/cluster/**/*.test.ts'],
  // Pods start, are scaled and end meanwhile.
  testTimeout: 300_000,
  maxWorkers: 1,
};
