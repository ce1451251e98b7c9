import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { findChromium } from '../../scripts/testing/chromium.ts';

/** Nothing of the browser's own may go to the network: what is heard on it comes from the page. */
const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium(process.env);
  if (executablePath === undefined) throw new Error('no Chromium: install one or set CHROMIUM_PATH');
  // As root, which is what a container builds as, Chromium refuses to start in its sandbox.
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({
    executablePath,
    headless: true,
    args: [...FLAGS, ...(isRoot ? ['--no-sandbox'] : [])],
  });
}

export const phone: BrowserContextOptions = {
  viewport: { width: 320, height: 568 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};

export type Visit = {
  page: Page;
  /** everything that went wrong on the page: errors in the console, exceptions, answers of 400 and above, failed requests */
  complaints: () => string[];
  /** paths that the browser asked for */
  asked: () => string[];
};

/** A person with a browser of their own: nothing is remembered from another visit. */
export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({ ...phone, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  const asked: string[] = [];
  page.on('console', (line) => {
    if (['error', 'warning'].includes(line.type())) complaints.push(line.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`));
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.url()} ${response.status()}`);
  });
  await page.goto(url, { waitUntil: 'load' });
  return { page, complaints: () => complaints, asked: () => asked };
}
