// A stand-in for the server while developing the UI: every route of the API with made-up answers, and dist/ under
// the same strict CSP as the real one. DEVELOPMENT ONLY. Users: admin, analyst, executive, ops; password: guanlan.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tableFromArrays, tableToIPC } from '@uwdata/flechette';
import * as data from './data.mjs';

const PORT = Number(process.env.PORT ?? 8089);
const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const LIVE_MS = Number(process.env.LIVE_MS ?? 5_000);
const TYPES = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.html': 'text/html; charset=utf-8',
};
const versions = { 'mart.orders': 44 };
const listeners = new Set();
let eventId = 0;

const json = (res, body, status = 200, headers = {}) => {
  res.writeHead(status, {
    'content-type': status < 400 ? 'application/json' : 'application/problem+json',
    ...headers,
  });
  res.end(body === undefined ? '' : JSON.stringify(body));
};
const problem = (res, status, code, detail, more = {}) =>
  json(res, { code, title: code, detail, status, ...more }, status);
async function bodyOf(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {};
}
const session = (user) => ({
  user,
  display: data.displays[user],
  roles: [user],
  permissions: data.roles[user],
  locale: null,
  csrf: 'mock',
  now: new Date(data.NOW).toISOString(),
  site: { name: { zh: '观澜示范公司', en: 'Demo Company' }, timezone: 'Asia/Shanghai', locale: 'zh' },
  default_dashboard: 'cockpit',
  demo: { speed: 60 },
});
function tell(kind, body) {
  eventId += 1;
  for (const res of listeners) res.write(`id: ${eventId}\nevent: ${kind}\ndata: ${JSON.stringify(body)}\n\n`);
}
setInterval(() => {
  versions['mart.orders'] += 1;
  tell('table', { name: 'mart.orders', version: versions['mart.orders'] });
}, LIVE_MS).unref();

function arrow(sql) {
  const bad = /\bselec\b|\bfrmo\b/.exec(sql);
  if (bad) {
    const before = sql.slice(0, bad.index).split('\n');
    return {
      error: {
        line: before.length,
        column: before.at(-1).length + 1,
        detail: `Expected an SQL statement, found: ${bad[0]}`,
        hint: 'did you mean `select`?',
      },
    };
  }
  const rows = Number(/limit (\d+)/i.exec(sql)?.[1] ?? 120_000);
  const make = (f) => Array.from({ length: rows }, (_, i) => f(i));
  const table = tableFromArrays({
    id: make((i) => 100_000 + i),
    process: make((i) => data.values.process[i % 5]),
    department: make((i) => data.values.department[(i * 7) % 12]),
    amount: make((i) => Math.round(data.chance('sql', i) * 9_000_000) / 100),
    submitted_at: make((i) => new Date(data.NOW - i * 600_000)),
    on_time: make((i) => (i % 17 === 3 ? null : i % 6 !== 0)),
  });
  return { bytes: tableToIPC(table, { format: 'stream' }) };
}

const routes = [
  [
    'GET',
    /^\/api\/dashboards$/,
    (c) =>
      json(
        c.res,
        Object.values(data.dashboards).map(({ name, title }) => ({ name, title })),
      ),
  ],
  [
    'GET',
    /^\/api\/dashboards\/([^/]+)$/,
    (c) =>
      data.dashboards[c.name]
        ? json(c.res, data.dashboards[c.name])
        : problem(c.res, 404, 'not_found', 'no such dashboard'),
  ],
  [
    'POST',
    /^\/api\/dashboards\/([^/]+)\/data$/,
    async (c) => {
      const ask = await bodyOf(c.req);
      const tiles = data.dashboards[c.name].rows
        .flat()
        .filter((tile) => !ask.tiles || ask.tiles.includes(tile.id));
      json(c.res, {
        ...data.pageSpan(ask.range),
        now: new Date(data.NOW).toISOString(),
        tiles: Object.fromEntries(tiles.map((tile) => [tile.id, data.answer(tile, ask, versions)])),
      });
    },
  ],
  [
    'GET',
    /^\/api\/dimensions\/([^/]+)\/values$/,
    (c) => json(c.res, { values: [...(data.values[c.name] ?? []), null] }),
  ],
  ['GET', /^\/api\/metrics$/, (c) => json(c.res, data.metrics)],
  ['POST', /^\/api\/metrics\/query$/, async (c) => json(c.res, data.metricAnswer(await bodyOf(c.req)))],
  ['GET', /^\/api\/tables$/, (c) => json(c.res, data.tables)],
  [
    'GET',
    /^\/api\/tables\/([^/]+)$/,
    (c) => {
      const found = data.tables.find((one) => `${one.zone}.${one.name}` === c.name);
      return found
        ? json(c.res, { ...found, sample: data.sample(found) })
        : problem(c.res, 404, 'not_found', `no table ${c.name}`);
    },
  ],
  [
    'POST',
    /^\/api\/sql\/stream$/,
    async (c) => {
      const { sql } = await bodyOf(c.req);
      const { error, bytes } = arrow(sql);
      if (error) return problem(c.res, 400, 'sql', error.detail, error);
      c.res.writeHead(200, { 'content-type': 'application/vnd.apache.arrow.stream', 'x-query-id': 'q_mock' });
      return setTimeout(() => c.res.end(bytes), /sleep/.test(sql) ? 8_000 : 150);
    },
  ],
  [
    'POST',
    /^\/api\/sql\/csv$/,
    (c) => {
      c.res.writeHead(200, {
        'content-type': 'text/csv; charset=utf-8',
        'content-disposition': 'attachment; filename="guanlan-mock.csv"',
      });
      c.res.end('\ufeffid,process\r\n1,费用报销\r\n');
    },
  ],
  ['DELETE', /^\/api\/sql\/([^/]+)$/, (c) => json(c.res, { cancelled: c.name })],
  ['GET', /^\/api\/sql\/history$/, (c) => json(c.res, { queries: data.history })],
  [
    'GET',
    /^\/api\/alerts$/,
    (c) => {
      const state = c.url.searchParams.get('state');
      const severity = c.url.searchParams.get('severity');
      const rule = c.url.searchParams.get('rule');
      json(c.res, {
        alerts: data.alerts.filter(
          (a) =>
            (state === 'all' || !state || a.state === state) &&
            (!severity || a.severity === severity) &&
            (!rule || a.rule === rule),
        ),
        next: null,
      });
    },
  ],
  [
    'GET',
    /^\/api\/alerts\/([^/]+)$/,
    (c) => {
      const found = data.alertDetail(c.name);
      return found ? json(c.res, found) : problem(c.res, 404, 'not_found', 'no such alert');
    },
  ],
  [
    'POST',
    /^\/api\/alerts\/([^/]+)\/ack$/,
    async (c) => {
      const { note } = await bodyOf(c.req);
      const found = data.alerts.find((a) => a.id === c.name);
      if (found) found.acked = { by: data.displays[c.user], at: new Date(data.NOW).toISOString(), note };
      json(c.res, { acknowledged: c.name });
    },
  ],
  ['GET', /^\/api\/rules$/, (c) => json(c.res, data.rules)],
  ['GET', /^\/api\/rules\/([^/]+)$/, (c) => json(c.res, data.ruleDetail(c.name))],
  ['GET', /^\/api\/sources$/, (c) => json(c.res, data.sources)],
  ['POST', /^\/api\/sources\/([^/]+)\/sync$/, (c) => json(c.res, { job: `sync ${c.name}` }, 202)],
  ['GET', /^\/api\/sources\/([^/]+)\/runs$/, (c) => json(c.res, data.runs(c.name))],
  ['GET', /^\/api\/quarantine$/, (c) => json(c.res, data.quarantine)],
  ['GET', /^\/api\/quarantine\/([^/]+)$/, (c) => json(c.res, data.quarantined)],
  [
    'POST',
    /^\/api\/quarantine\/([^/]+)\/release$/,
    (c) => json(c.res, { read: 292, kept: 88_321, rejected: 91, released: 201 }),
  ],
  [
    'GET',
    /^\/api\/project$/,
    (c) => json(c.res, c.user === 'executive' ? { ...data.project, problems: [] } : data.project),
  ],
  ['GET', /^\/api\/access\/users$/, (c) => json(c.res, data.users)],
  ['POST', /^\/api\/access\/users$/, (c) => json(c.res, { password: 'kelp-orbit-92-lantern' })],
  ['GET', /^\/api\/access\/audit$/, (c) => json(c.res, { rows: data.audit })],
  [
    'GET',
    /^\/api\/events$/,
    (c) => {
      c.res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      c.res.write(': hello\n\n');
      listeners.add(c.res);
      c.req.on('close', () => listeners.delete(c.res));
    },
  ],
  [
    'POST',
    /^\/mock\/alert$/,
    (c) => {
      tell('alert', {
        id: 'a1',
        rule: 'backlog_surge',
        state: 'firing',
        severity: 'critical',
        summary: data.alerts[0].summary,
      });
      json(c.res, {});
    },
  ],
];

async function api(req, res, url) {
  const user = /guanlan_session=(\w+)/.exec(req.headers.cookie ?? '')?.[1];
  if (url.pathname === '/api/session') {
    if (req.method === 'DELETE')
      return json(res, undefined, 204, { 'set-cookie': 'guanlan_session=; Path=/; Max-Age=0' });
    if (req.method === 'GET')
      return data.roles[user]
        ? json(res, session(user))
        : problem(res, 401, 'signed_out', 'sign in to go on');
    const asked = await bodyOf(req);
    if (!data.roles[asked.user] || asked.password !== 'guanlan')
      return problem(res, 401, 'wrong_login', 'the user name or the password is wrong');
    return json(res, session(asked.user), 200, {
      'set-cookie': `guanlan_session=${asked.user}; Path=/; HttpOnly; SameSite=Lax`,
    });
  }
  if (url.pathname.startsWith('/api/')) {
    if (!data.roles[user]) return problem(res, 401, 'signed_out', 'sign in to go on');
    if (req.method !== 'GET' && req.headers['x-csrf'] !== 'mock')
      return problem(res, 403, 'forbidden', 'no CSRF token');
  }
  for (const [method, pattern, answer] of routes) {
    const found = req.method === method && pattern.exec(url.pathname);
    if (found) return answer({ req, res, url, user, name: decodeURIComponent(found[1] ?? '') });
  }
  return problem(res, 404, 'not_found', `no route ${url.pathname}`);
}
function page(res, path) {
  const file = join(DIST, normalize(path));
  if (extname(path) && existsSync(file)) {
    res.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' });
    return res.end(readFileSync(file));
  }
  const nonce = randomBytes(16).toString('base64url');
  res.writeHead(200, {
    'content-type': TYPES['.html'],
    'cache-control': 'no-cache',
    'content-security-policy': `default-src 'self'; style-src 'self' 'nonce-${nonce}'; script-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
  });
  return res.end(readFileSync(join(DIST, 'index.html'), 'utf8').replace('__CSP_NONCE__', nonce));
}
createServer((req, res) => {
  const url = new URL(req.url, 'http://mock');
  if (url.pathname.startsWith('/api/') || url.pathname.startsWith('/mock/')) {
    api(req, res, url).catch((error) => problem(res, 500, 'internal', String(error)));
  } else page(res, url.pathname);
}).listen(PORT, '127.0.0.1', () => console.log(`mock on http://127.0.0.1:${PORT}`));
