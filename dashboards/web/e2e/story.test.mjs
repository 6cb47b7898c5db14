// One day with the real server and the simulated company: each persona does what they came for.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { DESKTOP, PHONE, accessible, launch, open, post, signIn } from './browser.mjs';
import { start } from './server.mjs';

const ROOT = new URL('../../../', import.meta.url);
const PICTURES = fileURLToPath(new URL('test-results/', ROOT));
// A month that is over: what a card shows of it and what SQL says must be the same number.
const MONTH = '2026-10-01..2026-11-01';
const MONTH_SQL =
  "ordered_at >= timestamp '2026-09-30T16:00:00Z' and ordered_at < timestamp '2026-10-31T16:00:00Z'";

let server;
let browser;
before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  [server, browser] = await Promise.all([start(), launch()]);
});
after(async () => {
  await browser?.close();
  if (server) assert.equal(await server.stop(), 0, `SIGTERM ends the server well\n${server.log()}`);
});

/** Signs a persona in, lets them work, and takes a picture where they fail. */
async function as(user, look, work) {
  const window = await open(browser, server.address, look);
  try {
    await signIn(window, user, server.password(user));
    await work(window);
    assert.deepEqual(window.noise, [], 'the console stayed clean');
  } catch (error) {
    await window.page.screenshot({ path: `${PICTURES}failed-${user}.png` }).catch(() => {});
    throw error;
  } finally {
    await window.close();
  }
}

/** The value of a card once it is there and is not `old`. */
async function card({ page }, id, old = '') {
  await page.waitForFunction(
    ([name, last]) => {
      const value = document.querySelector(`[data-testid="kpi-${name}"]`)?.getAttribute('data-value');
      return value && value !== last;
    },
    [id, old],
    { timeout: 60_000 },
  );
  return page.getByTestId(`kpi-${id}`).getAttribute('data-value');
}

async function number(window, sql) {
  const { rows } = await post(window, '/api/sql', { sql });
  return Number(rows[0][0]);
}

test('a wrong password is told and nothing is shown', async () => {
  const window = await open(browser, server.address);
  await window.page.goto('/dashboards/cockpit');
  await window.id('login-user').fill('executive');
  await window.id('login-password').fill('nope');
  await window.id('login-submit').click();
  await window.page.getByRole('alert').waitFor();
  assert.equal((await window.page.request.get('/api/dashboards')).status(), 401);
  await accessible(window, 'the login page');
  await window.close();
});

test('a session that ended is told on a fresh page, once', async () => {
  await as('executive', {}, async ({ page, id }) => {
    const told = page.getByText('登录已过期，请重新登录。');
    // Somewhere without a live page, which would hear of it before the fresh one.
    await page.goto('/favicon.svg');
    await page.context().clearCookies();
    await page.goto('/');
    await told.waitFor();
    await page.reload();
    await id('login-submit').waitFor();
    assert.equal(await told.count(), 0);
  });
});

test('an executive reads a number that equals SQL, changes the range, and sees it move', async () => {
  await as('executive', { size: DESKTOP }, async (window) => {
    const { page, id } = window;
    await page.waitForURL(/dashboards\/cockpit/);
    const recent = await card(window, 'revenue');
    await id('range-picker').click();
    await id('range-7d').click();
    await page.waitForURL(/range=7d/);
    const week = await card(window, 'revenue', recent);
    assert.ok(Number(week) < Number(recent), 'a week holds less than a month');

    await page.goto(`/dashboards/cockpit?range=${MONTH}`);
    const shown = Number(await card(window, 'revenue'));
    await as('analyst', {}, async (analyst) => {
      const sql = `select sum(amount) from mart.orders where status <> 'cancelled' and ${MONTH_SQL}`;
      const expected = await number(analyst, sql);
      assert.ok(expected > 1e6, `orders of a month: ${expected}`);
      assert.ok(Math.abs(shown - expected) < 0.01, `the card shows ${shown}, SQL says ${expected}`);
    });

    await page.goto('/dashboards/cockpit');
    await page.waitForFunction(
      () => document.querySelector('[data-testid=live-link]')?.dataset.link === 'live',
    );
    const before = await card(window, 'orders');
    await page.evaluate(() => (window.untouched = true));
    await card(window, 'orders', before);
    assert.ok(await page.evaluate(() => window.untouched), 'it moved without a reload');
    assert.match(await id('tile-orders').getAttribute('data-as-of'), /^2026-11/);
    assert.equal(
      await page.getByRole('link', { name: 'SQL', exact: true }).count(),
      0,
      'executives have no SQL',
    );
    assert.equal((await page.request.post('/api/sql', { data: { sql: 'select 1' } })).status(), 403);
    await accessible(window, 'the cockpit');
  });
});

test('an analyst reads a million rows, runs SQL, and takes the result away', async () => {
  await as('analyst', { size: DESKTOP }, async (window) => {
    const { page, id } = window;
    await page.goto('/sql');
    await page.locator('.cm-content').waitFor();
    await page.getByText('access_log').first().waitFor();
    const total = await number(window, 'select count(*) from clean.access_log');
    assert.ok(total > 1e6, `the access log holds ${total} rows`);
    const write = async (sql) => {
      await page.locator('.cm-content').click();
      await page.keyboard.press('Control+a');
      await page.keyboard.insertText(sql);
      await page.keyboard.press('Escape');
      await page.keyboard.press('Control+Enter');
    };
    await write('select action, count(*) as n from clean.access_log group by action order by n desc');
    await id('sql-result').waitFor();
    const rows = (n) =>
      page.waitForFunction(
        (wanted) => document.querySelector('[data-testid=sql-result]')?.dataset.rows === wanted,
        String(n),
        { timeout: 120_000 },
      );
    await write('select employee_id, at, action from clean.access_log order by at');
    for (const n of [10_000, 100_000, 1_000_000]) {
      await rows(n);
      if (n < 1_000_000) await id('sql-more').click();
    }
    assert.equal(await id('sql-more').count(), 0, 'a tab holds no more than a million rows');
    // What is offered while typing does not stay open over the answer.
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+a');
    await page.keyboard.type('select 1 as one, no');
    await page.locator('.cm-tooltip-autocomplete').waitFor();
    await page.keyboard.press('Control+Enter');
    await page.locator('.cm-tooltip-autocomplete').waitFor({ state: 'detached' });
    await id('sql-error').waitFor();
    await write("select timestamptz '2026-11-09T16:59:49Z' as at");
    await page.getByText('2026-11-10 00:59:49').waitFor();
    await write('select number, region, amount from mart.orders order by number limit 2000');
    await rows(2000);
    const [file] = await Promise.all([page.waitForEvent('download'), id('sql-csv').click()]);
    const lines = readFileSync(await file.path(), 'utf8')
      .trimEnd()
      .split('\r\n');
    assert.equal(lines[0], '\ufeffnumber,region,amount');
    assert.equal(lines.length, 2001);
    await write('select number\nfrom mart.ordres');
    await id('sql-error').waitFor();
    assert.match(await id('sql-error').innerText(), /orders/, 'a near name is offered');
    await accessible(window, 'the SQL page');
  });
});

test('the SQL page begins with a question that has an answer', async () => {
  await as('analyst', { size: DESKTOP }, async ({ page, id }) => {
    await page.goto('/sql');
    await page.waitForFunction(() =>
      /from (mart|clean)\.\w/.test(document.querySelector('.cm-content')?.innerText ?? ''),
    );
    assert.ok(await id('sql-csv').isDisabled(), 'there is no result to take away yet');
    await id('sql-run').click();
    await id('sql-result').waitFor();
    assert.equal(await id('sql-error').count(), 0);
    assert.ok(await id('sql-csv').isEnabled());
  });
});

test('ops is warned, sees why and who was told, and takes it', async () => {
  await as('ops', { size: DESKTOP }, async (window) => {
    const { page, id } = window;
    await page.goto('/alerts');
    // Planted at 09:12 of the simulated morning: twelve real seconds after the start.
    const alert = page.locator('[data-rule=failed_logins]').first();
    await alert.waitFor({ timeout: 180_000 });
    await alert.click();
    await id('alert-evidence').waitFor();
    await page.waitForFunction(
      () => document.querySelector('[data-testid^=delivery-]')?.getAttribute('data-state') === 'accepted',
      null,
      { timeout: 60_000 },
    );
    assert.match(await id('alert-deliveries').innerText(), /200/);
    await page.screenshot({ path: `${PICTURES}alert.png`, fullPage: true });
    await accessible(window, 'an alert');
    await id('alert-ack').click();
    await id('alert-ack-note').fill('asked the person');
    await id('alert-ack-submit').click();
    await page.getByText('asked the person', { exact: true }).waitFor();
  });
});

test('a mistake in a file is told in the UI and the last good version stays', async () => {
  const file = `${server.project}/dashboards/sales.yaml`;
  const good = readFileSync(file, 'utf8');
  await as('admin', { locale: 'en' }, async (window) => {
    const { page, id } = window;
    await page.goto('/dashboards/sales');
    await page.getByRole('heading', { name: 'Sales' }).first().waitFor();
    writeFileSync(file, good.replace('metric: orders_count', 'metric: orders_cuont'));
    await id('project-problems').waitFor();
    await page.getByText('dashboards/sales.yaml').first().waitFor();
    writeFileSync(file, good.replace('en: Sales', 'en: Sales of today'));
    await page.getByRole('heading', { name: 'Sales of today' }).first().waitFor();
    writeFileSync(file, good);
  });
});

test('an admin adds a user, who can sign in, and the audit tells', async () => {
  await as('admin', { size: DESKTOP }, async (window) => {
    const { page, id } = window;
    await page.goto('/access');
    await id('user-add').click();
    await id('user-name').fill('newbie');
    await id('role-executive').check();
    await id('user-submit').click();
    const password = (await id('user-password').textContent()).trim();
    const other = await open(browser, server.address);
    await signIn(other, 'newbie', password);
    await other.close();
    await page.goto('/access?tab=audit');
    await page.getByTitle('user.add').first().waitFor();
    await accessible(window, 'the audit');
  });
});

/** Opens the cockpit and waits until its lines are drawn. */
async function cockpit(page) {
  await page.goto('/dashboards/cockpit');
  await page.waitForFunction(() => {
    const charts = [...document.querySelectorAll('.cell.is-line')];
    const busy = document.querySelector('main [aria-busy=true], main .skeleton');
    return !busy && charts.length > 0 && charts.every((one) => one.querySelector('.host svg text'));
  });
}

for (const size of [DESKTOP, PHONE]) {
  test(`the labels of charts lie inside them and apart at ${size.width}`, async () => {
    await as('executive', { size }, async ({ page }) => {
      await cockpit(page);
      const wrong = await page.evaluate(() =>
        [...document.querySelectorAll('.host svg')].flatMap((svg) => {
          const frame = svg.getBoundingClientRect();
          const labels = [...svg.querySelectorAll('text')].map((one) => ({
            text: one.textContent,
            at: one.getBoundingClientRect(),
          }));
          const outside = ({ at }) =>
            at.left < frame.left - 1 ||
            at.right > frame.right + 1 ||
            at.top < frame.top - 1 ||
            at.bottom > frame.bottom + 1;
          // Those of the time axis stand in one row.
          const meets = (one, other) =>
            one !== other &&
            Math.abs(one.at.top - other.at.top) < 2 &&
            one.at.left <= other.at.left &&
            one.at.right > other.at.left + 1;
          return labels
            .filter((one) => outside(one) || labels.some((other) => meets(one, other)))
            .map((one) => one.text);
        }),
      );
      assert.deepEqual(wrong, []);
    });
  });
}

test('the cockpit fits its paper', async () => {
  await as('executive', { size: DESKTOP }, async ({ page }) => {
    // A browser that prints draws no chart anew: what was drawn for the screen must fit.
    await page.addInitScript(() => {
      window.ResizeObserver = class {
        observe() {}
        unobserve() {}
        disconnect() {}
      };
    });
    await cockpit(page);
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    // A4 landscape within its margins.
    await page.emulateMedia({ media: 'print' });
    await page.setViewportSize({ width: 1047, height: 718 });
    const { charts, over } = await page.evaluate(() => {
      const drawn = [...document.querySelectorAll('.cell svg')].map((svg) => ({
        cell: svg.closest('.cell').getBoundingClientRect(),
        at: svg.getBoundingClientRect(),
        chart: !!svg.closest('.host'),
        scaled: svg.hasAttribute('viewBox'),
      }));
      return {
        charts: drawn.filter((one) => one.chart && one.scaled && one.at.width > 100).length,
        over: drawn.filter((one) => one.at.right > one.cell.right + 1),
      };
    });
    assert.deepEqual(over, [], 'no drawing runs into its neighbour');
    assert.equal(charts, await page.locator('.cell.is-line').count(), 'every chart is scaled to its paper');
    assert.ok(await page.locator('.print-only').isVisible(), 'who, when and what stands on it');
    assert.ok(await page.locator('.skip').isHidden());
    const breaks = await page.evaluate(() => [
      ...new Set(
        [...document.querySelectorAll('.rows .card')].map((one) => getComputedStyle(one).breakInside),
      ),
    ]);
    assert.deepEqual(breaks, ['avoid'], 'no tile is torn');
    await page.emulateMedia({ media: null });
    await page.setViewportSize(DESKTOP);
    await page.evaluate(() => dispatchEvent(new Event('afterprint')));
    assert.equal(await page.locator('.host svg[viewBox]').count(), 0, 'the screen is as it was');
  });
});

const PAGES = {
  cockpit: ['executive', '/dashboards/cockpit', 'kpi-revenue'],
  approvals: ['admin', '/dashboards/approvals', null],
  finance: ['admin', '/dashboards/finance', null],
  operations: ['admin', '/dashboards/operations', null],
  home: ['ops', '/', null],
  metrics: ['admin', '/metrics', null],
  metric: ['admin', '/metrics/orders_revenue', null],
  sql: ['analyst', '/sql?q=select%20*%20from%20mart.orders%20limit%20500', null],
  tables: ['admin', '/tables', null],
  table: ['admin', '/tables/mart.orders', null],
  alerts: ['ops', '/alerts', null],
  rules: ['ops', '/rules', null],
  rule: ['ops', '/rules/backlog_surge', null],
  sources: ['ops', '/sources', null],
  source: ['ops', '/sources/oa', null],
  access: ['admin', '/access', null],
};
const LOOKS = [
  { size: DESKTOP, locale: 'zh', theme: 'light' },
  { size: DESKTOP, locale: 'en', theme: 'dark' },
  { size: PHONE, locale: 'zh', theme: 'dark' },
  { size: PHONE, locale: 'en', theme: 'light' },
];

for (const look of LOOKS) {
  const suffix = `${look.size.width}-${look.locale}-${look.theme}`;
  test(`every page is whole and accessible at ${suffix}`, async () => {
    for (const user of ['executive', 'analyst', 'ops', 'admin']) {
      const pages = Object.entries(PAGES).filter(([, [owner]]) => owner === user);
      await as(user, look, async (window) => {
        const { page, id } = window;
        for (const [name, [, path, ready]] of pages) {
          await page.goto(path);
          await (ready ? id(ready) : page.locator('h1').first()).waitFor();
          if (name === 'sql') {
            await id('sql-run').click();
            await id('sql-result').waitFor();
          }
          await page.waitForFunction(() => !document.querySelector('main [aria-busy=true], main .skeleton'));
          await page.waitForTimeout(300);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(wide <= 0, `${name} scrolls sideways by ${wide}px`);
          await page.screenshot({ path: `${PICTURES}${name}-${suffix}.png`, fullPage: true });
          await accessible(window, `${name} at ${suffix}`);
        }
      });
    }
    // The README's picture is this one; it is renewed on request so that a test run leaves the tree as it was.
    if (process.env['GUANLAN_DOCS'] && look === LOOKS[0]) {
      mkdirSync(new URL('docs/', ROOT), { recursive: true });
      copyFileSync(`${PICTURES}cockpit-${suffix}.png`, new URL('docs/cockpit.png', ROOT));
    }
  });
}
