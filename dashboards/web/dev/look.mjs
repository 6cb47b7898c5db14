// Takes pictures of every page and scans them with axe. DEVELOPMENT ONLY; needs the mock running on a built dist/.
// node dev/look.mjs [page ...]   LOOK=all for every size × language × theme
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const BASE = process.env.BASE ?? 'http://127.0.0.1:8089';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PAGES = {
  login: ['/', null],
  cockpit: ['/dashboards/cockpit', 'executive'],
  filtered: ['/dashboards/cockpit?range=7d&f.department=%E6%B3%95%E5%8A%A1%E9%83%A8', 'executive'],
  empty: ['/dashboards/cockpit?f.department=%E8%A1%8C%E6%94%BF%E9%83%A8', 'executive'],
  home: ['/', 'ops'],
  analyst: ['/', 'analyst'],
  dashboards: ['/dashboards', 'admin'],
  metrics: ['/metrics', 'admin'],
  explore: ['/metrics/orders_revenue', 'admin'],
  sql: ['/sql', 'analyst'],
  sqlerror: ['/sql?q=selec%201', 'analyst'],
  tables: ['/tables', 'admin'],
  table: ['/tables/mart.orders', 'admin'],
  alerts: ['/alerts', 'ops'],
  alert: ['/alerts/a1', 'ops'],
  alertrows: ['/alerts/a2', 'ops'],
  rules: ['/rules', 'ops'],
  rule: ['/rules/backlog_surge', 'ops'],
  sources: ['/sources', 'ops'],
  source: ['/sources/oa', 'ops'],
  access: ['/access', 'admin'],
  audit: ['/access?tab=audit', 'admin'],
};
const all = process.env.LOOK === 'all';
const SIZES = { 1440: { width: 1440, height: 900 }, 390: { width: 390, height: 844 } };
const looks = [];
for (const size of Object.keys(SIZES))
  for (const locale of ['zh', 'en'])
    for (const theme of ['light', 'dark']) looks.push({ size, locale, theme });
const chosen = all ? looks : looks.filter((l) => (l.locale === 'zh') === (l.theme === 'light'));
const wanted = process.argv.slice(2);
mkdirSync('.look', { recursive: true });

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-dev-shm-usage',
    '--force-color-profile=srgb',
    '--font-render-hinting=none',
    '--hide-scrollbars',
  ],
});
let bad = 0;
for (const { size, locale, theme } of chosen) {
  const context = await browser.newContext({
    viewport: SIZES[size],
    locale: locale === 'zh' ? 'zh-CN' : 'en-US',
    timezoneId: 'Asia/Shanghai',
    reducedMotion: 'reduce',
    bypassCSP: false,
    hasTouch: size === '390',
    isMobile: size === '390',
  });
  await context.addInitScript(
    ([l, th]) => {
      localStorage.setItem('guanlan.locale', l);
      localStorage.setItem('guanlan.theme', th);
    },
    [locale, theme],
  );
  const page = await context.newPage();
  let name = '';
  const complain = (text) => {
    bad += 1;
    console.log(`  ✗ ${name} ${size} ${locale} ${theme}: ${text}`);
  };
  page.on('console', (m) => {
    if (['error', 'warning'].includes(m.type()) && !/401|400/.test(m.text()))
      complain(m.text().slice(0, 300));
  });
  page.on('pageerror', (e) => complain(`page error ${e.message.slice(0, 300)}`));
  for (const [key, [path, user]] of Object.entries(PAGES)) {
    if (wanted.length && !wanted.includes(key)) continue;
    name = key;
    await context.clearCookies();
    if (user) await context.addCookies([{ name: 'guanlan_session', value: user, url: BASE }]);
    await page.goto(BASE + path);
    await page.waitForLoadState('domcontentloaded');
    if (key.startsWith('sql')) {
      await page.locator('.cm-content').waitFor();
      await page.locator('[data-testid=sql-run]').click();
      await page.waitForTimeout(400);
    }
    await page.waitForTimeout(900);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) complain(`scrolls sideways by ${wide}px`);
    await page.screenshot({ path: `.look/${key}-${size}-${locale}-${theme}.png`, fullPage: true });
    // Isolated world: the page's CSP stays in force and does not see the scanner.
    const cdp = await context.newCDPSession(page);
    const { frameTree } = await cdp.send('Page.getFrameTree');
    const { executionContextId: contextId } = await cdp.send('Page.createIsolatedWorld', {
      frameId: frameTree.frame.id,
    });
    await cdp.send('Runtime.evaluate', { expression: axe, contextId });
    const { result } = await cdp.send('Runtime.evaluate', {
      expression: `axe.run(document, {runOnly: ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']}).then(r => r.violations.map(v => v.id + ': ' + v.nodes.slice(0,3).map(n => n.target.join(' ') + ' — ' + (n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? '')).join(' | ')))`,
      contextId,
      awaitPromise: true,
      returnByValue: true,
    });
    for (const violation of result.value ?? ['axe did not run']) complain(violation.slice(0, 500));
    await cdp.detach();
  }
  await context.close();
}
await browser.close();
console.log(bad ? `${bad} complaints` : 'clean');
process.exitCode = bad ? 1 : 0;
