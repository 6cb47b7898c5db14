// Chromium as people use it, and a guard: any console error, policy violation or request to another
// origin fails the run. That last one also proves that the UI works offline.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const LEVELS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

export function launch() {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--force-color-profile=srgb',
      '--font-render-hinting=none',
      '--disable-lcd-text',
      '--hide-scrollbars',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  });
}

/** A browser window of its own: cookies, language, theme, size. */
export async function open(browser, address, { size = DESKTOP, locale = 'zh', theme = 'light' } = {}) {
  const phone = size.width < 600;
  const context = await browser.newContext({
    baseURL: address,
    viewport: size,
    locale: locale === 'zh' ? 'zh-CN' : 'en-US',
    timezoneId: 'Asia/Shanghai',
    reducedMotion: 'reduce',
    acceptDownloads: true,
    hasTouch: phone,
    isMobile: phone,
  });
  await context.addInitScript(
    ([language, look]) => {
      localStorage.setItem('guanlan.locale', language);
      localStorage.setItem('guanlan.theme', look);
      addEventListener('securitypolicyviolation', (event) =>
        console.error(`CSP ${event.violatedDirective} ${event.sourceFile}:${event.lineNumber}`),
      );
    },
    [locale, theme],
  );
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const noise = [];
  // A refused login or query is an answer that the page shows, though Chromium logs it as an error.
  page.on(
    'console',
    (m) => m.type() === 'error' && !/status of 4\d\d/.test(m.text()) && noise.push(m.text()),
  );
  page.on('pageerror', (error) => noise.push(String(error)));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== address) noise.push(`foreign ${request.url()}`);
  });
  return { page, id: (name) => page.getByTestId(name), noise, close: () => context.close() };
}

export async function signIn({ page, id }, user, password) {
  await page.goto('/');
  await id('login-user').fill(user);
  await id('login-password').fill(password);
  await id('login-submit').click();
  await id('me').waitFor();
}

/** An API call with the window's own session. */
export async function post({ page }, path, data) {
  const csrf = (await (await page.request.get('/api/session')).json()).csrf;
  const answer = await page.request.post(path, { data, headers: { 'x-csrf': csrf } });
  assert.ok(answer.ok(), `POST ${path}: ${answer.status()} ${await answer.text()}`);
  return answer.json();
}

/** WCAG 2.2 AA, run in an isolated world: the page's policy stays in force and does not see the scanner. */
export async function accessible({ page }, what) {
  const cdp = await page.context().newCDPSession(page);
  const { frameTree } = await cdp.send('Page.getFrameTree');
  const world = { frameId: frameTree.frame.id };
  const { executionContextId: contextId } = await cdp.send('Page.createIsolatedWorld', world);
  await cdp.send('Runtime.evaluate', { expression: axe, contextId });
  const run = `axe.run(document, { runOnly: ${JSON.stringify(LEVELS)} }).then((r) =>
    r.violations.map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(' | ')))`;
  const { result } = await cdp.send('Runtime.evaluate', {
    expression: run,
    contextId,
    awaitPromise: true,
    returnByValue: true,
  });
  await cdp.detach();
  assert.deepEqual(result.value, [], `${what} is accessible`);
}
