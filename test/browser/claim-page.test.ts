import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { claimToken } from '../../services/domain/gifts/claim-token.ts';
import type { GiftId } from '../../services/domain/ids.ts';
import {
  deliver,
  giftRequest,
  postGift,
  startTestApi,
  stateOf,
  type TestApi,
  type TestSender,
} from '../support/api.ts';
import { keyring } from '../support/gifts.ts';
import { launchChromium, visit } from './browser-under-test.ts';

let api: TestApi;
let sender: TestSender;
let server: Server;
let origin: string;
let browser: Browser;

beforeAll(async () => {
  [api, browser] = await Promise.all([startTestApi(), launchChromium()]);
  sender = await api.sender();
  server = await new Promise<Server>((resolve) => {
    const listening = api.app.listen(0, '127.0.0.1', () => resolve(listening));
  });
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}, 60_000);

afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
});

afterAll(async () => {
  await browser?.close();
  server?.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await api.close();
});

const codeForm = /^[0-9A-Z]{5}(-[0-9A-Z]{5}){3}-[0-9A-Z*~$=]$/;

async function deliveredGift(change: object = {}): Promise<{ id: GiftId; url: string }> {
  const { body: gift } = await postGift(api, sender, { ...giftRequest, ...change });
  await deliver(api, gift.id);
  return { id: gift.id, url: `${origin}/claim/${claimToken(keyring, gift.id, 1)}` };
}

/** Everything that a claim could change. */
async function everything(): Promise<string> {
  const tables = ['gifts', 'vouchers', 'claims', 'audit_records', 'outbox', 'idempotency_keys'] as const;
  const rows = await Promise.all(
    tables.map((table) => api.database.db.selectFrom(table).selectAll().orderBy('created_at').execute()),
  );
  return JSON.stringify(rows);
}

const heading = (page: Page) => page.getByRole('heading', { level: 1 });
const button = (page: Page) => page.getByRole('button', { name: 'Show my voucher code' });
const code = (page: Page) => page.locator('.code');

async function expectToFitTheScreen(page: Page): Promise<void> {
  const [content, screen] = await page.evaluate<[number, number]>(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  );
  expect(content).toBeLessThanOrEqual(screen);
}

describe('the claim page on a phone', () => {
  test('shows who sent what, without an error and without asking for anything but itself', async () => {
    const { url } = await deliveredGift();
    const { page, complaints, asked } = await visit(browser, url);
    expect(await heading(page).innerText()).toBe('Charles sent you a gift');
    expect(await page.getByText('€25.00', { exact: true }).isVisible()).toBe(true);
    expect(await page.getByText('Well done, Ada').isVisible()).toBe(true);
    expect(await button(page).isVisible()).toBe(true);
    await expectToFitTheScreen(page);
    // Browsers ask for the icon by themselves, and show its absence as an error.
    const icon = await page.request.get(`${origin}/favicon.ico`);
    expect([icon.status(), (await icon.body()).length]).toEqual([204, 0]);
    expect(complaints()).toEqual([]);
    expect(asked().filter((path) => path !== '/favicon.ico')).toEqual([new URL(url).pathname]);
  });

  test('has a language, a title, one heading, and a name for what can be pressed', async () => {
    const { url } = await deliveredGift();
    const { page } = await visit(browser, url);
    expect(await page.locator('html').getAttribute('lang')).toBe('en');
    expect(await page.title()).toBe('Charles sent you a gift');
    expect(await heading(page).count()).toBe(1);
    expect(await page.getByRole('main').count()).toBe(1);
    expect(await button(page).count()).toBe(1);
    const target = await button(page).boundingBox();
    expect(target?.height).toBeGreaterThanOrEqual(44);
    await button(page).click();
    expect(await heading(page).innerText()).toBe('Your voucher');
    expect(await heading(page).count()).toBe(1);
    const labelledBy = (await code(page).getAttribute('aria-labelledby')) ?? '';
    expect(await page.locator(`#${labelledBy}`).innerText()).toContain('This is its code');
  });

  test('fits the screen whatever the words are', async () => {
    const { url } = await deliveredGift({ sender_name: 'W'.repeat(100), message: `${'M'.repeat(400)} ok` });
    const { page } = await visit(browser, url);
    await expectToFitTheScreen(page);
    await button(page).click();
    expect(await code(page).innerText()).toMatch(codeForm);
    await expectToFitTheScreen(page);
    // The height of a line and of the padding: a text alone is evaluated, a function would not be called.
    const oneLine = 'parseFloat(getComputedStyle(document.querySelector(".code")).fontSize) * 1.4 + 32';
    const height = 'document.querySelector(".code").clientHeight';
    expect(await page.evaluate<boolean>(`Math.abs(${height} - (${oneLine})) < 2`)).toBe(true);
  });

  test('P53: opening and reloading it in a browser changes nothing', async () => {
    const { id, url } = await deliveredGift();
    const before = await everything();
    const { page } = await visit(browser, url);
    await page.reload();
    await visit(browser, url);
    expect(await everything()).toBe(before);
    expect(await stateOf(api, id)).toBe('delivered');
  });
});

describe('claiming', () => {
  test.each([true, false])('shows the code once, with scripts %p', async (javaScriptEnabled) => {
    const { id, url } = await deliveredGift();
    const { page, complaints } = await visit(browser, url, { javaScriptEnabled });
    await button(page).click();
    expect(await code(page).innerText()).toMatch(codeForm);
    expect(await page.getByText('€25.00', { exact: true }).isVisible()).toBe(true);
    expect(await stateOf(api, id)).toBe('claimed');
    expect(complaints()).toEqual([]);

    const again = await visit(browser, url, { javaScriptEnabled });
    expect(await again.page.getByRole('status').innerText()).toContain('was claimed already');
    expect(await button(again.page).count()).toBe(0);
    expect(await code(again.page).count()).toBe(0);
    expect(again.complaints()).toEqual([]);
  });

  test('needs a keyboard only: one Tab to the button, Enter to press it', async () => {
    const { url } = await deliveredGift();
    const { page } = await visit(browser, url);
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('Show my voucher code');
    const outline = await page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle');
    expect(outline).toBeTruthy();
    expect(outline).not.toBe('none');
    await page.keyboard.press('Enter');
    await code(page).waitFor();
    expect(await code(page).innerText()).toMatch(codeForm);
  });

  test('a page that was open in two windows gives the code to one of them', async () => {
    const { url } = await deliveredGift();
    const [first, second] = [await visit(browser, url), await visit(browser, url)];
    await button(first.page).click();
    expect(await code(first.page).innerText()).toMatch(codeForm);
    await button(second.page).click();
    await heading(second.page).waitFor();
    expect(await code(second.page).count()).toBe(0);
    expect(await heading(second.page).innerText()).not.toContain('Your voucher');
    await expectToFitTheScreen(second.page);
  });
});
