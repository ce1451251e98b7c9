/**
 * `npm run build`: a bundle per role in dist/, with source maps. Production runs these: a cold start reads a few files and
 * not the thousands of the AWS SDK and its friends. What a role loads only when it is asked for (traces, a kubeconfig)
 * stands in dist/<role>/.
 */
import { cpSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';

const ROLES = ['api', 'consumer', 'reconciler', 'admin'];
/** Files that a role reads at run time, next to its bundle: what the page at /docs loads. */
const ASSETS = {
  from: 'node_modules/swagger-ui-dist',
  to: 'dist/swagger-ui',
  files: ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png', 'LICENSE'],
};
/** esbuild leaves `require` of CommonJS dependencies to the runtime, and an ES module has none of its own. */
const BANNER = `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);`;

/** An ES module that imports node:http makes Node load all of its fetch beside it: 14 MiB that nothing here uses. */
const httpWithoutFetch: Plugin = {
  name: 'http-without-fetch',
  setup(bundle) {
    bundle.onResolve({ filter: /^(node:)?https?$/ }, ({ path }) => ({
      path: path.replace(/^node:/, ''),
      namespace: 'built-in',
    }));
    bundle.onLoad({ filter: /./, namespace: 'built-in' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('node:${path}')`,
    }));
  },
};

/** What zod says is said in English, or in our own words: its forty other languages are a fifth of a bundle. */
const zodInEnglish: Plugin = {
  name: 'zod-in-english',
  setup(bundle) {
    bundle.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      contents: 'export {};',
    }));
  },
};

const roles = ROLES.filter((role) => existsSync(`services/${role}/main.ts`));
rmSync('dist', { recursive: true, force: true });
mkdirSync('dist');
for (const role of roles) {
  await build({
    entryPoints: { [role]: `services/${role}/main.ts` },
    outdir: 'dist',
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    splitting: true,
    chunkNames: `${role}/[name]-[hash]`,
    minify: true,
    // Names stay: error names and stack traces are read by people and matched by code.
    keepNames: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    // Optional native speed-ups of pg, which is happy without.
    external: ['pg-native'],
    plugins: [httpWithoutFetch, zodInEnglish],
    banner: { js: BANNER },
    logLevel: 'warning',
  });
}
mkdirSync(ASSETS.to);
for (const file of ASSETS.files) cpSync(join(ASSETS.from, file), join(ASSETS.to, file));
for (const role of roles)
  console.log(`dist/${role}.js  ${Math.round(statSync(`dist/${role}.js`).size / 1024)} KiB`);
