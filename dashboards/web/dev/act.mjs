// Walks the UI as people do, against the mock on a built dist/. DEVELOPMENT ONLY; the product's e2e runs the server.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const BASE = process.env.BASE ?? 'http://127.0.0.1:8089';
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
const context = await browser.newContext({
  viewport: { width: 1440, height: 900 },
  locale: 'zh-CN',
  timezoneId: 'Asia/Shanghai',
  permissions: ['clipboard-read', 'clipboard-write'],
});
await context.addInitScript(() =>
  addEventListener('securitypolicyviolation', (e) =>
    console.error(`CSP ${e.violatedDirective} ${e.sourceFile}:${e.lineNumber}:${e.columnNumber} ${e.sample}`),
  ),
);
const page = await context.newPage();
const noise = [];
page.on('console', (m) => m.type() === 'error' && !/status of 40[01]/.test(m.text()) && noise.push(m.text()));
page.on('response', (r) => r.status() === 404 && noise.push(`404 ${r.url()}`));
page.on('pageerror', (e) => noise.push(String(e)));
const id = (name) => page.getByTestId(name);
const step = async (name, act) => {
  const since = Date.now();
  try {
    await act();
    console.log(
      `ok   ${name} (${Date.now() - since} ms)${noise.length ? ` [console: ${noise.length}]` : ''}`,
    );
  } catch (error) {
    console.log(`FAIL ${name}: ${String(error).slice(0, 600)}`);
    await page.screenshot({ path: '.look/failed.png' });
    process.exitCode = 1;
  }
};
const login = async (user, password = 'guanlan') => {
  await id('login-user').fill(user);
  await id('login-password').fill(password);
  await id('login-submit').click();
};
page.setDefaultTimeout(6_000);
await page.goto(BASE);
await step('a wrong password is told', async () => {
  await login('executive', 'nope');
  await page.getByRole('alert').waitFor();
});
await step('an executive lands on the cockpit', async () => {
  await login('executive');
  await page.waitForURL(/dashboards\/cockpit/);
  assert.ok(Number(await id('kpi-r1c1').getAttribute('data-value')) > 1e6);
  assert.match(await id('tile-r1c1').getAttribute('data-as-of'), /^2026/);
});
await step('the range changes in the address, and Back undoes it', async () => {
  const before = await id('kpi-r1c1').getAttribute('data-value');
  await id('range-picker').click();
  await id('range-7d').click();
  await page.waitForURL(/range=7d/);
  await page.waitForFunction(
    (old) => document.querySelector('[data-testid=kpi-r1c1]')?.dataset.value !== old,
    before,
  );
  await page.goBack();
  assert.ok(!page.url().includes('range'));
});
await step('a custom range is both days included', async () => {
  await id('range-picker').click();
  await id('range-first').fill('2026-11-01');
  await id('range-last').fill('2026-11-10');
  await id('range-apply').click();
  await page.waitForURL(/range=2026-11-01\.\.2026-11-11/);
});
await step('a bar filters, the chip removes', async () => {
  await id('tile-r2c2')
    .getByRole('button', { name: /采购部/ })
    .click();
  await page.waitForURL(/f\.department=/);
  await id('chip-department').click();
  await page.waitForURL((url) => !url.search.includes('f.'));
});
await step('the filter panel filters', async () => {
  await id('filter-region').click();
  await id('filter-region-华东').check();
  await page.waitForURL(/f\.region=/);
  await page.keyboard.press('Escape');
});
await step('a change on the server changes a number without a reload', async () => {
  await page.goto(`${BASE}/dashboards/cockpit`);
  await id('kpi-r1c1').waitFor();
  await page.waitForFunction(
    () => document.querySelector('[data-testid=live-link]')?.dataset.link === 'live',
  );
  const before = await id('kpi-r1c1').getAttribute('data-value');
  await page.waitForFunction(
    (old) => document.querySelector('[data-testid=kpi-r1c1]')?.dataset.value !== old,
    before,
    { timeout: 8_000 },
  );
});
await step('dragging on a line zooms, arrow keys read points', async () => {
  const chart = id('tile-r2c1').getByRole('group').first();
  await chart.locator('svg path').first().waitFor({ state: 'attached' });
  await chart.scrollIntoViewIfNeeded();
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + 200, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + 400, box.y + 100, { steps: 5 });
  await page.screenshot({ path: '.look/zoom.png' });
  await page.mouse.up();
  await page.waitForURL(/range=2026-\d\d-\d\d\.\.2026/);
  await id('tile-r2c1').getByRole('group').first().focus();
  await page.keyboard.press('ArrowRight');
  await page.locator('.tip').first().waitFor();
});
await step('language and theme switch at once', async () => {
  await id('toggle-language').click();
  await page.getByRole('heading', { name: 'Executive cockpit' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
  await id('toggle-theme').click();
  await id('toggle-theme').click();
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
  await id('toggle-theme').click();
});
await step('an alert is announced as it fires', async () => {
  await page.evaluate(() => fetch('/mock/alert', { method: 'POST' }));
  await page.getByText('New alert: Expense').first().waitFor();
  await page.screenshot({ path: '.look/note.png' });
});
await step('what is not permitted is neither shown nor opened', async () => {
  assert.equal(await page.getByRole('link', { name: 'SQL' }).count(), 0);
  await page.goto(`${BASE}/sql`);
  await page.getByText('Page not found').waitFor();
});
await step('logging out asks for a login again', async () => {
  await id('me').click();
  await id('logout').click();
  await id('login-user').waitFor();
  await login('admin');
  await page.getByRole('heading', { name: /Hello/ }).waitFor();
});
await step('the palette finds and opens, g and a letter goes', async () => {
  await page.keyboard.press('Control+k');
  await id('palette').fill('backlog_s');
  await page.screenshot({ path: '.look/palette.png' });
  await page.keyboard.press('Enter');
  await page.waitForURL(/rules\/backlog_surge/);
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.waitForURL(/\/sql$/);
  await page.keyboard.press('Control+k');
  await id('palette').waitFor();
  await page.keyboard.press('Escape');
  await id('palette').waitFor({ state: 'detached' });
});
await step('SQL runs, and 120 000 rows scroll to the end', async () => {
  const editor = page.locator('.cm-content');
  await editor.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('select * from mart.approvals');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+Enter');
  const grid = id('sql-result');
  await grid.waitFor();
  assert.equal(await grid.getAttribute('data-rows'), '120000');
  await grid.evaluate((el) => (el.scrollTop = el.scrollHeight));
  await page.getByText('219999', { exact: true }).waitFor();
});
await step('completion knows tables and columns', async () => {
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('select * from mart.app');
  await page.locator('.cm-tooltip-autocomplete').getByText('approval_backlog').waitFor();
  await page.screenshot({ path: '.look/complete.png' });
  await page.keyboard.press('Escape');
});
await step('an SQL error stands at its place', async () => {
  await page.keyboard.press('Control+a');
  await page.keyboard.type('select 1;\nselec 2');
  await page.keyboard.press('Escape');
  await id('sql-run').click();
  await page.getByText('Line 2, column 1').waitFor();
  await page.locator('.cm-lintRange-error').waitFor();
});
await step('a running query can be cancelled', async () => {
  await page.locator('.cm-content').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('select sleep limit 5');
  await page.keyboard.press('Control+Enter');
  await id('sql-cancel').click();
  await page.getByText('Cancelled').waitFor();
});
await step('CSV is downloaded', async () => {
  const [file] = await Promise.all([page.waitForEvent('download'), id('sql-csv').click()]);
  assert.equal(file.suggestedFilename(), 'guanlan-mock.csv');
});
await step('an alert is acknowledged with a note', async () => {
  await page.goto(`${BASE}/alerts`);
  await id('alert-a4').click();
  await id('alert-evidence').waitFor();
  await id('alert-ack').click();
  await page.screenshot({ path: '.look/ack.png' });
  await id('alert-ack-note').fill('known export');
  await id('alert-ack-submit').click();
  await page.getByText('known export').waitFor();
});
await step('a new user gets a password once', async () => {
  await page.goto(`${BASE}/access`);
  await id('user-add').click();
  await id('user-name').fill('newbie');
  await id('role-analyst').check();
  await id('user-submit').click();
  assert.equal(await id('user-password').textContent(), 'kelp-orbit-92-lantern');
});
await step('quarantine shows its rows and lets them through', async () => {
  await page.goto(`${BASE}/sources`);
  await page.getByRole('button', { name: 'Show rows' }).click();
  await page.getByText('orders_1110.csv').first().waitFor();
  await id('release-orders').click();
  await page.getByText('201 rows released').waitFor();
});
await step('the shortcut sheet opens', async () => {
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
});
await step('the console stayed clean', async () =>
  assert.deepEqual(
    noise.map((text) => text.slice(0, 400)),
    [],
  ),
);
await browser.close();
