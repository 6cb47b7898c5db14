// Made-up but deterministic answers for developing the UI without a server. DEVELOPMENT ONLY: nothing under dev/
// is built, embedded or shipped.

export const NOW = Date.parse('2026-11-24T02:42:00Z');
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const iso = (t) => new Date(t).toISOString();

/** A repeatable number in [0, 1) for any key. */
export function chance(...key) {
  let h = 2166136261;
  for (const c of key.join('|')) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  h ^= h >>> 15;
  h = Math.imul(h, 2246822519);
  h ^= h >>> 13;
  return (h >>> 0) / 4294967296;
}
const T = (zh, en) => ({ zh, en });

export const roles = {
  admin: [
    'ReadDashboards',
    'ReadMetrics',
    'RunSql',
    'ReadTables',
    'ReadSources',
    'ManageSources',
    'ReadAlerts',
    'ActOnAlerts',
    'ReadRules',
    'ReadAccess',
    'ManageAccess',
    'ReadSystem',
    'ReadStatus',
  ],
  analyst: [
    'ReadDashboards',
    'ReadMetrics',
    'RunSql',
    'ReadTables',
    'ReadSources',
    'ReadAlerts',
    'ReadRules',
    'ReadStatus',
  ],
  executive: ['ReadDashboards', 'ReadMetrics', 'ReadAlerts', 'ReadStatus'],
  ops: [
    'ReadDashboards',
    'ReadMetrics',
    'ReadAlerts',
    'ActOnAlerts',
    'ReadRules',
    'ReadSources',
    'ManageSources',
    'ReadSystem',
    'ReadTables',
    'ReadStatus',
  ],
};
export const displays = { admin: '林管理', analyst: '周分析', executive: '陈总', ops: '赵运维' };

const departments = [
  '销售一部',
  '销售二部',
  '研发中心',
  '财务部',
  '采购部',
  '人力资源部',
  '法务部',
  '客户服务部',
  '华南大区运营管理中心',
  '行政部',
  '市场部',
  '信息技术部',
];
const regions = ['华东', '华南', '华北', '西南', '华中', '东北'];
export const values = {
  department: departments,
  region: regions,
  process: ['费用报销', '采购申请', '合同审批', '请假', '用印'],
};
const dims = {
  department: T('部门', 'Department'),
  region: T('区域', 'Region'),
  process: T('流程', 'Process'),
};

const metric = (name, title, description, unit, direction, target, base, table, dimensions) => ({
  name,
  title,
  description,
  unit,
  direction,
  target,
  base,
  table,
  dimensions: dimensions.map((d) => ({ name: d, title: dims[d] })),
});
export const metrics = [
  metric(
    'orders_revenue',
    T('订单金额', 'Order revenue'),
    T('已签订单的含税金额合计。', 'Sum of signed orders, tax included.'),
    'cny',
    'up',
    130_000_000,
    4_120_000,
    'mart.orders',
    ['region', 'department'],
  ),
  metric(
    'orders_count',
    T('订单数', 'Orders'),
    T('已签订单的数量。', 'Number of signed orders.'),
    'count',
    'up',
    null,
    312,
    'mart.orders',
    ['region', 'department'],
  ),
  metric(
    'backlog',
    T('在途审批', 'Approval backlog'),
    T('此刻还没有办结的审批单。', 'Approvals that are still open.'),
    'count',
    'down',
    900,
    846,
    'mart.approval_backlog',
    ['department', 'process'],
  ),
  metric(
    'approval_hours',
    T('平均审批时长', 'Approval time'),
    T('从提交到办结的工作时间，只计工作日。', 'Working hours from submission to completion.'),
    'hours',
    'down',
    16,
    18.4,
    'mart.approvals',
    ['department', 'process'],
  ),
  metric(
    'on_time',
    T('按时办结率', 'Done on time'),
    T('在承诺时限内办结的比例。', 'Share of approvals done within the promised time.'),
    'percent',
    'up',
    0.95,
    0.931,
    'mart.approvals',
    ['department', 'process'],
  ),
  metric(
    'budget_used',
    T('预算执行率', 'Budget used'),
    T('已发生费用占年度预算的比例。', 'Expenses as a share of the yearly budget.'),
    'percent',
    'none',
    null,
    0.712,
    'mart.budget',
    ['department'],
  ),
  metric(
    'active_users',
    T('日活用户', 'Daily users'),
    T('当天登录过 OA 的员工人数。', 'Staff who signed in to the OA that day.'),
    'count',
    'up',
    1700,
    1642,
    'mart.activity',
    ['department'],
  ),
  metric(
    'ticket_hours',
    T('工单解决时长', 'Ticket resolution'),
    T('服务工单从受理到解决的小时数。', 'Hours from intake to resolution of tickets.'),
    'hours',
    'down',
    8,
    7.2,
    'mart.tickets',
    ['department'],
  ),
];
const byName = Object.fromEntries(metrics.map((m) => [m.name, m]));
const ref = ({ name, title, unit, direction, target, description }) => ({
  name,
  title,
  unit,
  direction,
  target,
  description,
});

export const dashboards = {
  cockpit: {
    name: 'cockpit',
    title: T('经营驾驶舱', 'Executive cockpit'),
    range: '30d',
    compare: 'previous',
    filters: [
      { dimension: 'department', title: dims.department, metric: 'backlog' },
      { dimension: 'region', title: dims.region, metric: 'orders_revenue' },
    ],
    rows: [
      ['orders_revenue', 'backlog', 'on_time', 'active_users'].map((m, i) => ({
        kind: 'kpi',
        id: `r1c${i + 1}`,
        width: 3,
        title: null,
        metric: ref(byName[m]),
      })),
      [
        {
          kind: 'line',
          id: 'r2c1',
          width: 8,
          title: T('订单金额走势', 'Revenue trend'),
          metric: ref(byName.orders_revenue),
          grain: 'day',
          by: [],
        },
        {
          kind: 'bar',
          id: 'r2c2',
          width: 4,
          title: T('各部门在途审批', 'Backlog by department'),
          metric: ref(byName.backlog),
          by: ['department'],
          limit: 10,
        },
      ],
      [
        {
          kind: 'line',
          id: 'r3c1',
          width: 6,
          title: T('各区域订单', 'Orders by region'),
          metric: ref(byName.orders_count),
          grain: 'day',
          by: ['region'],
        },
        {
          kind: 'line',
          id: 'r3c2',
          width: 6,
          title: T('平均审批时长', 'Approval time'),
          metric: ref(byName.approval_hours),
          grain: 'day',
          by: [],
        },
      ],
      [
        {
          kind: 'table',
          id: 'r4c1',
          width: 8,
          title: T('区域明细', 'Regions'),
          metrics: ['orders_revenue', 'orders_count', 'on_time'].map((m) => ref(byName[m])),
          by: ['region'],
          limit: 50,
        },
        {
          kind: 'bar',
          id: 'r4c2',
          width: 4,
          title: T('预算执行率', 'Budget used'),
          metric: ref(byName.budget_used),
          by: ['department'],
          limit: 6,
        },
      ],
    ],
  },
  approvals: {
    name: 'approvals',
    title: T('审批效率', 'Approval efficiency'),
    range: '90d',
    compare: null,
    filters: [{ dimension: 'process', title: dims.process, metric: 'backlog' }],
    rows: [
      [
        { kind: 'kpi', id: 'r1c1', width: 6, title: null, metric: ref(byName.approval_hours) },
        { kind: 'kpi', id: 'r1c2', width: 6, title: null, metric: ref(byName.on_time) },
      ],
      [
        {
          kind: 'line',
          id: 'r2c1',
          width: 12,
          title: null,
          metric: ref(byName.backlog),
          grain: 'day',
          by: ['process'],
        },
      ],
    ],
    problem: {
      message: 'unknown metric `backlogs`',
      hint: 'did you mean `backlog`?',
      file: 'dashboards/approvals.yaml',
      line: 14,
      column: 21,
      severity: 'error',
    },
  },
};

const DAYS = {
  '24h': 1,
  '7d': 7,
  '30d': 30,
  '90d': 90,
  '12M': 365,
  'now/d': 1,
  'now/w': 2,
  'now/M': 24,
  'now/Q': 55,
  'now/y': 328,
  'last/w': 7,
  'last/M': 31,
};
const midnight = (t) => Math.floor((t + 8 * HOUR) / DAY) * DAY - 8 * HOUR;
function span(text) {
  const custom = /^(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})$/.exec(text);
  if (custom)
    return { from: Date.parse(`${custom[1]}T00:00:00+08:00`), to: Date.parse(`${custom[2]}T00:00:00+08:00`) };
  const days = DAYS[text] ?? 30;
  return days === 1
    ? { from: NOW - (NOW % HOUR) - 24 * HOUR, to: NOW }
    : { from: midnight(NOW) - (days - 1) * DAY, to: NOW };
}
const additive = (m) => ['orders_revenue', 'orders_count'].includes(m.name);
function at(m, t, key, step = DAY) {
  const day = new Date(t + 8 * HOUR).getUTCDay();
  const weekend = day === 0 || day === 6;
  const rate = m.unit === 'percent';
  const wave = rate
    ? 1 + 0.03 * (chance(m.name, key, t) - 0.5)
    : (weekend && additive(m) ? 0.35 : 1) *
      (0.85 + 0.3 * chance(m.name, key, t)) *
      (1 + (t - NOW) / (900 * DAY));
  const share =
    key && additive(m)
      ? 0.08 + 0.25 * chance(m.name, key)
      : key && m.name === 'backlog'
        ? 0.03 + 0.2 * chance(m.name, key)
        : key
          ? 0.9 + 0.2 * chance(m.name, key)
          : 1;
  const v = m.base * wave * share * (additive(m) ? step / DAY : 1);
  return rate ? Math.min(0.999, v) : m.unit === 'count' ? Math.round(v) : Math.round(v * 100) / 100;
}
const STEP = { hour: HOUR, day: DAY, week: 7 * DAY, month: 30 * DAY };
export function points(m, text, grain, key = '') {
  const { from, to } = span(text);
  const step = STEP[grain] ?? DAY;
  const list = [];
  for (let t = from; t < to; t += step)
    list.push({
      t: iso(t),
      v: at(m, t, key, step),
      prev: at(m, t - (to - from), key, step) * 0.97,
      partial: t + step > to,
    });
  if (list.at(-1)?.partial && additive(m)) list.at(-1).v = Math.round(list.at(-1).v * 0.4);
  return list;
}
export function total(m, text, key = '') {
  const list = points(m, text, 'day', key);
  const sum = (f) => list.reduce((n, p) => n + f(p), 0);
  const value = additive(m) ? sum((p) => p.v) : (list.at(-1)?.v ?? null);
  const previous = additive(m) ? sum((p) => p.prev) : (list.at(-1)?.prev ?? null);
  return { value, previous };
}
const grainOf = (text) => ((DAYS[text] ?? 30) <= 2 ? 'hour' : (DAYS[text] ?? 30) > 100 ? 'week' : 'day');

export function answer(tile, ask, versions) {
  const m = byName[(tile.metric ?? tile.metrics[0]).name];
  const base = {
    ok: true,
    as_of: iso(m.name === 'budget_used' ? NOW - 60 * HOUR : NOW - 4 * 60_000),
    query_id: `q_${tile.id}`,
    cached: true,
    tables: [{ name: m.table, version: versions[m.table] ?? 41, updated_at: iso(NOW - 4 * 60_000) }],
  };
  const chosen = ask.filters?.[tile.by?.[0]] ?? [];
  const keys = (d) => values[d].filter((v) => !chosen.length || chosen.includes(v));
  const bump = 1 + 0.002 * ((versions[m.table] ?? 41) - 41);
  if (ask.filters?.department?.includes('行政部') && tile.kind === 'line')
    return { ...base, line: { grain: 'day', series: [] } };
  if (ask.filters?.department?.includes('法务部') && tile.id === 'r3c2')
    return {
      ok: false,
      code: 'query',
      detail: 'column "wait_hours" does not exist in mart.approvals',
      hint: 'models/approvals.sql no longer selects it',
      query_id: 'q_8f31',
    };
  switch (tile.kind) {
    case 'kpi': {
      const { value, previous } = total(m, ask.range);
      return {
        ...base,
        kpi: {
          value: value * bump,
          previous,
          target: m.target,
          spark: points(m, ask.range, grainOf(ask.range)).map(({ t, v, partial }) => ({ t, v, p: partial })),
        },
      };
    }
    case 'line': {
      const grain = grainOf(ask.range);
      const split = tile.by?.[0] ? keys(tile.by[0]).slice(0, 5) : [null];
      return {
        ...base,
        line: {
          grain,
          series: split.map((key) => ({ key, total: null, points: points(m, ask.range, grain, key ?? '') })),
        },
      };
    }
    case 'bar':
      return {
        ...base,
        bar: {
          bars: values[tile.by[0]]
            .slice(0, tile.limit ?? 10)
            .map((key) => ({ key, ...total(m, ask.range, key) }))
            .sort((a, b) => b.value - a.value),
        },
      };
    default:
      return {
        ...base,
        table: {
          columns: [
            { name: 'region', title: dims.region, unit: null, kind: 'dimension' },
            ...tile.metrics.map((r) => ({ name: r.name, title: r.title, unit: r.unit, kind: 'metric' })),
          ],
          rows: regions.map((key) => [
            key,
            ...tile.metrics.map((r) =>
              key === '东北' && r.name === 'on_time' ? null : total(byName[r.name], ask.range, key).value,
            ),
          ]),
        },
      };
  }
}
export const pageSpan = (text) => {
  const { from, to } = span(text);
  return { range: { from: iso(from), to: iso(to) }, previous: { from: iso(2 * from - to), to: iso(from) } };
};
export function metricAnswer(ask) {
  const m = byName[ask.metric];
  const keys = ask.by[0] ? values[ask.by[0]] : [null];
  const rows = keys.flatMap((key) =>
    ask.grain
      ? points(m, ask.range, ask.grain, key ?? '').map((p) => ({
          time: p.t,
          by: key ? [key] : [],
          value: p.v,
          previous: p.prev,
          partial: p.partial,
        }))
      : [{ time: null, by: key ? [key] : [], ...total(m, ask.range, key ?? ''), partial: false }],
  );
  if (ask.order === 'value_desc') rows.sort((a, b) => b.value - a.value);
  return {
    rows: rows.slice(0, ask.limit ?? 10_000),
    as_of: iso(NOW - 4 * 60_000),
    tables: [[m.table, 41]],
    range: pageSpan(ask.range).range,
    query_id: 'q_explore',
  };
}

const col = (name, type, zh, en) => ({ name, type, nullable: name !== 'id', title: zh ? T(zh, en) : null });
const table = (zone, name, title, rows, columns, upstream, downstream, checks = null, age = 4) => ({
  zone,
  name,
  title,
  rows,
  bytes: rows * 61,
  files: Math.max(1, Math.round(rows / 90_000)),
  version: 41 + (rows % 37),
  updated_at: iso(NOW - age * 60_000),
  columns,
  upstream,
  downstream,
  checks,
});
const approvalColumns = [
  col('id', 'Int64', '编号', 'Id'),
  col('process', 'Utf8', '流程', 'Process'),
  col('department', 'Utf8', '部门', 'Department'),
  col('applicant', 'Utf8', '申请人', 'Applicant'),
  col('amount', 'Decimal128(18, 2)', '金额', 'Amount'),
  col('submitted_at', 'Timestamp(µs, "UTC")', '提交时间', 'Submitted'),
  col('completed_at', 'Timestamp(µs, "UTC")', '办结时间', 'Completed'),
  col('wait_hours', 'Float64', '等待工时', 'Waiting hours'),
  col('on_time', 'Boolean', '是否按时', 'On time'),
];
export const tables = [
  table(
    'raw',
    'oa_approvals',
    T('OA 审批流水', 'OA approvals'),
    1_204_331,
    approvalColumns.slice(0, 6),
    ['sources/oa'],
    ['clean.approvals'],
  ),
  table(
    'raw',
    'crm_orders',
    T('CRM 订单文件', 'CRM order files'),
    88_412,
    [
      col('订单号', 'Utf8'),
      col('金额', 'Utf8'),
      col('区域', 'Utf8'),
      col('_file', 'Utf8'),
      col('_row', 'Int64'),
    ],
    ['sources/drops'],
    ['clean.orders'],
  ),
  table(
    'clean',
    'approvals',
    T('审批单', 'Approvals'),
    1_203_997,
    approvalColumns.slice(0, 7),
    ['raw.oa_approvals'],
    ['mart.approvals', 'mart.approval_backlog'],
  ),
  table(
    'clean',
    'orders',
    T('订单', 'Orders'),
    88_120,
    [
      col('id', 'Utf8', '订单号', 'Order'),
      col('amount', 'Decimal128(18, 2)', '金额', 'Amount'),
      col('region', 'Utf8', '区域', 'Region'),
      col('signed_on', 'Date32', '签订日', 'Signed'),
    ],
    ['raw.crm_orders'],
    ['mart.orders'],
  ),
  table(
    'mart',
    'approvals',
    T('审批', 'Approvals'),
    1_203_997,
    approvalColumns,
    ['clean.approvals', 'clean.departments'],
    ['metrics/approval_hours', 'metrics/on_time', 'dashboards/cockpit'],
    { ok: true, message: null },
  ),
  table(
    'mart',
    'approval_backlog',
    T('在途审批快照', 'Approval backlog'),
    162_040,
    [
      col('at', 'Timestamp(µs, "UTC")', '时间', 'At'),
      col('process', 'Utf8', '流程', 'Process'),
      col('department', 'Utf8', '部门', 'Department'),
      col('open_count', 'Int64', '在途数', 'Open'),
    ],
    ['clean.approvals'],
    ['metrics/backlog', 'rules/backlog_surge'],
    { ok: true, message: null },
  ),
  table(
    'mart',
    'orders',
    T('订单', 'Orders'),
    88_120,
    [
      col('id', 'Utf8'),
      col('amount', 'Decimal128(18, 2)'),
      col('region', 'Utf8'),
      col('signed_on', 'Date32'),
    ],
    ['clean.orders'],
    ['metrics/orders_revenue', 'metrics/orders_count'],
    { ok: false, message: 'check "no negative amounts" found 3 rows; version 44 is still served' },
  ),
  table(
    'mart',
    'activity',
    T('使用活跃', 'Activity'),
    731_224,
    [col('day', 'Date32'), col('department', 'Utf8'), col('users', 'Int64')],
    ['clean.logins'],
    ['metrics/active_users'],
    { ok: true, message: null },
  ),
  table(
    'mart',
    'budget',
    T('预算执行', 'Budget'),
    5_760,
    [
      col('month', 'Date32'),
      col('department', 'Utf8'),
      col('planned', 'Decimal128(18, 2)'),
      col('spent', 'Decimal128(18, 2)'),
    ],
    ['clean.ledger'],
    ['metrics/budget_used'],
    { ok: true, message: null },
    60 * 60,
  ),
  table(
    'mart',
    'tickets',
    T('服务工单', 'Tickets'),
    41_309,
    [col('id', 'Int64'), col('department', 'Utf8'), col('hours', 'Float64')],
    ['clean.tickets'],
    ['metrics/ticket_hours'],
    { ok: true, message: null },
  ),
  table(
    'system',
    'runs',
    T('同步运行', 'Runs'),
    9_120,
    [col('at', 'Timestamp(µs, "UTC")'), col('source', 'Utf8'), col('rows', 'Int64')],
    [],
    [],
  ),
  table(
    'system',
    'queries',
    T('查询记录', 'Queries'),
    52_711,
    [col('at', 'Timestamp(µs, "UTC")'), col('user', 'Utf8'), col('sql', 'Utf8'), col('ms', 'Int64')],
    [],
    [],
  ),
];
export const sample = (info) => ({
  columns: info.columns,
  rows: Array.from({ length: 50 }, (_, r) =>
    info.columns.map((c) => {
      if (/Int/.test(c.type)) return 100_000 + r * 7;
      if (/Decimal/.test(c.type)) return (chance(info.name, c.name, r) * 90_000).toFixed(2);
      if (/Float/.test(c.type)) return Math.round(chance(info.name, c.name, r) * 400) / 10;
      if (/Bool/.test(c.type)) return chance(info.name, c.name, r) > 0.2;
      if (/Date/.test(c.type)) return iso(NOW - r * DAY).slice(0, 10);
      if (/Timestamp/.test(c.type)) return r % 9 === 4 ? null : iso(NOW - r * 3 * HOUR);
      return (values[c.name] ?? ['张伟', '王芳', '李娜', '刘洋'])[r % (values[c.name]?.length ?? 4)];
    }),
  ),
});

const yaml = `title: { zh: 审批积压突增, en: Approval backlog surge }
description:
  zh: 某类审批的在途数量超出同一时段的常见范围。
  en: Open approvals of one process leave the usual band for this hour.
ask: { metric: backlog, by: [process], grain: hour, window: 28d }
when:
  seasonal: { season: workweek, deviations: 4, side: above, history: 28d, floor: 5 }
every: 5m
for: 10m
severity: critical
labels: { team: finance }
annotations:
  zh: { summary: "{{process}} 在途 {{value}} 件，预期 {{low}}–{{high}}" }
  en: { summary: "{{process}}: {{value}} open, expected {{low}}–{{high}}" }
notify: [ops]
`;
const band = Array.from({ length: 96 }, (_, i) => {
  const t = NOW - (NOW % HOUR) - (95 - i) * HOUR;
  const h = new Date(t + 8 * HOUR).getUTCHours();
  const mid = 120 + 80 * Math.exp(-((h - 15) ** 2) / 18);
  const v = Math.round(i > 89 ? mid * (1.5 + 0.12 * (i - 89)) : mid * (0.92 + 0.16 * chance('band', i)));
  const low = Math.round(mid * 0.8);
  const high = Math.round(mid * 1.22);
  return { t: iso(t), v, low, high, outside: v > high || v < low };
});
const alert = (id, rule, title, summary, state, severity, minutes, extra = {}) => ({
  id,
  rule,
  title,
  state,
  severity,
  labels: { team: 'finance', process: '费用报销' },
  value: 452,
  low: 96,
  high: 203,
  summary,
  started_at: iso(NOW - (minutes + 10) * 60_000),
  fired_at: state === 'pending' ? null : iso(NOW - minutes * 60_000),
  resolved_at: state === 'resolved' ? iso(NOW - (minutes - 40) * 60_000) : null,
  acked: null,
  ...extra,
});
export const alerts = [
  alert(
    'a1',
    'backlog_surge',
    T('审批积压突增', 'Approval backlog surge'),
    T('费用报销 在途 452 件，预期 96–203', 'Expense: 452 open, expected 96–203'),
    'firing',
    'critical',
    38,
  ),
  alert(
    'a2',
    'split_purchases',
    T('疑似拆单采购', 'Split purchases'),
    T(
      '采购部 李强 两天内向同一供应商下单 4 笔，合计 ¥198,400',
      'Li Qiang placed 4 orders with one supplier in two days, ¥198,400 together',
    ),
    'firing',
    'warning',
    95,
    { value: 198_400, low: null, high: 50_000, labels: { employee: '李强', supplier: '恒达办公' } },
  ),
  alert(
    'a3',
    'feed_stale',
    T('数据停更', 'Feed stopped'),
    T('raw.crm_orders 已 5 小时没有新数据', 'raw.crm_orders has had no new data for 5 hours'),
    'firing',
    'warning',
    180,
    {
      value: 5.1,
      low: null,
      high: 2,
      acked: { by: '赵运维', at: iso(NOW - 120 * 60_000), note: '已联系 CRM 厂商，预计中午恢复。' },
    },
  ),
  alert(
    'a4',
    'off_hours_export',
    T('非工作时间批量导出', 'Off-hours bulk export'),
    T('wangfang 凌晨 02:14 导出 48,210 行', 'wangfang exported 48,210 rows at 02:14'),
    'firing',
    'info',
    300,
    { value: 48_210, low: null, high: 10_000, labels: { user: 'wangfang' } },
  ),
  alert(
    'a5',
    'order_slump',
    T('区域订单骤降', 'Order slump'),
    T('西南 昨日订单 9 笔，预期 31–58', 'Southwest: 9 orders yesterday, expected 31–58'),
    'resolved',
    'critical',
    1900,
    { value: 9, low: 31, high: 58 },
  ),
  alert(
    'a6',
    'failed_logins',
    T('登录失败激增', 'Failed logins'),
    T('zhangwei 10 分钟内失败 37 次', 'zhangwei failed 37 times in 10 minutes'),
    'resolved',
    'warning',
    4100,
    { value: 37, low: null, high: 5 },
  ),
];
export function alertDetail(id) {
  const one = alerts.find((a) => a.id === id);
  if (!one) return null;
  const rows = id === 'a2';
  return {
    ...one,
    description: T(
      '某类审批的在途数量超出同一时段的常见范围。',
      'Open approvals of one process leave the usual band for this hour.',
    ),
    rule_yaml: yaml,
    series: rows
      ? null
      : id === 'a3'
        ? {
            unit: 'hours',
            metric: '',
            points: band.slice(-48).map((p, i) => ({
              t: p.t,
              v: Math.round((i < 43 ? 0.4 + (i % 2) * 0.3 : i - 42) * 10) / 10,
              low: null,
              high: 2,
              outside: i > 44,
            })),
          }
        : { unit: 'count', metric: 'backlog', points: band },
    rows: rows
      ? {
          columns: ['employee', 'day', 'supplier', 'order_no', 'amount'],
          rows: [
            ['李强', '2026-11-22', '恒达办公', 'PO-88213', 49_600],
            ['李强', '2026-11-22', '恒达办公', 'PO-88219', 49_800],
            ['李强', '2026-11-23', '恒达办公', 'PO-88240', 49_500],
            ['李强', '2026-11-23', '恒达办公', 'PO-88244', 49_500],
          ],
        }
      : null,
    timeline: [
      { at: one.started_at, state: 'pending', note: null },
      ...(one.fired_at ? [{ at: one.fired_at, state: 'firing', note: 'for 10m' }] : []),
      ...(one.resolved_at ? [{ at: one.resolved_at, state: 'resolved', note: null }] : []),
    ],
    deliveries: [
      {
        id: 'd1',
        channel: 'ops',
        state: 'accepted',
        attempts: 3,
        next_at: null,
        history: [
          { at: iso(NOW - 37 * 60_000), status: 503, ms: 41, response: 'upstream unavailable', error: null },
          {
            at: iso(NOW - 36.5 * 60_000),
            status: null,
            ms: 20_000,
            response: null,
            error: 'timed out after 20 s',
          },
          { at: iso(NOW - 35 * 60_000), status: 200, ms: 38, response: '{"received":true}', error: null },
        ],
      },
    ],
  };
}
const rule = (name, title, severity, every, m, state, problem = null) => ({
  name,
  title,
  description: T('超出同一时段的常见范围时提醒。', 'Tells when the value leaves the band of its slot.'),
  severity,
  every,
  metric: m,
  notify: ['ops'],
  state: { firing: 0, pending: 0, last_evaluated: iso(NOW - 2 * 60_000), last_error: null, ...state },
  problem,
});
export const rules = [
  rule('backlog_surge', T('审批积压突增', 'Approval backlog surge'), 'critical', '5m', 'backlog', {
    firing: 1,
  }),
  rule('split_purchases', T('疑似拆单采购', 'Split purchases'), 'warning', '1h', null, { firing: 1 }),
  rule('feed_stale', T('数据停更', 'Feed stopped'), 'warning', '5m', null, { firing: 1 }),
  rule('order_slump', T('区域订单骤降', 'Order slump'), 'critical', '30 9 * * *', 'orders_count', {}),
  rule('budget_overrun', T('预算超支', 'Budget overrun'), 'warning', '1d', 'budget_used', { pending: 1 }),
  rule(
    'failed_logins',
    T('登录失败激增', 'Failed logins'),
    'warning',
    '1m',
    null,
    { last_error: 'no table clean.logins' },
    {
      file: 'rules/failed_logins.yaml',
      line: 8,
      column: 5,
      message: 'no table clean.logins',
      hint: null,
      severity: 'error',
    },
  ),
];
export const ruleDetail = (name) => ({
  ...rules.find((r) => r.name === name),
  yaml,
  condition: { seasonal: { season: 'workweek', deviations: 4, side: 'above', history: '28d', floor: 5 } },
  alerts: alerts.filter((a) => a.rule === name),
});

const run = (
  minutes,
  rows,
  rejected,
  outcome = 'ok',
  message = null,
  stream = undefined,
  warnings = null,
) => ({
  warnings,
  at: iso(NOW - minutes * 60_000),
  stream,
  rows,
  rejected,
  ms: 180 + rows / 3,
  outcome,
  message,
});
export const sources = [
  {
    name: 'oa',
    title: T('OA 数据库', 'OA database'),
    kind: 'sqlite',
    schedule: '5m',
    state: 'ok',
    streams: [
      {
        name: 'approvals',
        table: 'raw.oa_approvals',
        last_run: run(2, 412, 0),
        next_at: iso(NOW + 3 * 60_000),
      },
      { name: 'staff', table: 'raw.oa_staff', last_run: run(2, 3, 0), next_at: iso(NOW + 3 * 60_000) },
    ],
  },
  {
    name: 'drops',
    title: T('业务文件', 'Business drops'),
    kind: 'files',
    schedule: '*/5 8-20 * * mon-fri',
    state: 'late',
    streams: [
      {
        name: 'orders',
        table: 'raw.crm_orders',
        last_run: run(
          308,
          1_204,
          17,
          'partial',
          'orders_1123.csv: 17 rows with too few fields',
          'orders',
          'column 备注 disappeared',
        ),
        next_at: iso(NOW + 60_000),
      },
      { name: 'budget', table: 'raw.fin_budget', last_run: run(3_600, 480, 0), next_at: iso(NOW + 60_000) },
    ],
  },
  {
    name: 'tickets',
    title: T('工单系统', 'Ticket system'),
    kind: 'rest',
    schedule: '30s',
    state: 'failed',
    streams: [
      {
        name: 'tickets',
        table: 'raw.tickets_tickets',
        last_run: run(
          1,
          0,
          0,
          'failed',
          '127.0.0.1:9401 refused the connection; is the ticket system running?',
        ),
        next_at: iso(NOW + 20_000),
      },
    ],
  },
];
export const runs = (name) =>
  Array.from({ length: 30 }, (_, i) =>
    run(
      2 + i * 5,
      Math.round(chance(name, i) * 900),
      i === 6 ? 4 : 0,
      i === 11 ? 'failed' : 'ok',
      i === 11 ? 'database is locked; tried again after 5 s' : null,
      sources.find((s) => s.name === name)?.streams[0].name,
    ),
  );
export const quarantine = [
  {
    table: 'orders',
    rows: 292,
    reasons: [
      { column: '金额', reason: 'not an amount', count: 201 },
      { column: '签订日', reason: 'no date format fits', count: 74 },
      { column: 'region', reason: 'required but empty', count: 17 },
    ],
  },
];
export const quarantined = {
  columns: ['_file', '_row', 'column', 'reason', 'value'],
  rows: Array.from({ length: 40 }, (_, i) => [
    `orders_11${10 + (i % 13)}.csv`,
    12 + i * 31,
    i % 3 ? '金额' : '签订日',
    i % 3 ? 'not an amount' : 'no date format fits',
    i % 3 ? '待定' : '十一月初',
  ]),
};
export const project = {
  revision: 7,
  loaded_at: iso(NOW - 30 * 60_000),
  files: 46,
  problems: [
    {
      file: 'dashboards/approvals.yaml',
      line: 14,
      column: 21,
      message: 'unknown metric `backlogs`',
      hint: 'did you mean `backlog`?',
      severity: 'error',
    },
    {
      file: 'rules/failed_logins.yaml',
      line: 8,
      column: 5,
      message: 'no table clean.logins',
      hint: 'tables that exist: clean.approvals, clean.orders',
      severity: 'error',
    },
  ],
};
export const users = Object.keys(roles).map((name, i) => ({
  name,
  display: displays[name],
  roles: [name],
  disabled: false,
  last_login: i === 3 ? null : iso(NOW - i * 9 * HOUR - 600_000),
}));
export const audit = Array.from({ length: 60 }, (_, i) => ({
  seq: 60 - i,
  at: iso(NOW - i * 11 * 60_000),
  actor: ['admin', 'analyst', 'ops', 'system'][i % 4],
  action: ['session.login', 'query.run', 'alert.ack', 'source.sync'][i % 4],
  object: ['', 'mart.orders', 'a3', 'oa'][i % 4],
  outcome: i % 13 === 5 ? 'denied' : 'ok',
  detail: i % 13 === 5 ? 'wrong password' : '',
  ip: '127.0.0.1',
}));
export const history = [
  'select process, count(*) as n\nfrom mart.approvals\ngroup by process\norder by n desc',
  'select * from mart.orders where amount > 100000 limit 100',
  "select region, sum(amount) from mart.orders where signed_on >= date '2026-11-01' group by region",
  'selec * from nowhere',
].map((sql, i) => ({
  id: `h${i}`,
  sql,
  started_at: iso(NOW - (i + 1) * 17 * 60_000),
  elapsed_ms: 84 + i * 311,
  rows: i === 3 ? null : 5 + i * 95,
  outcome: i === 3 ? 'failed' : 'ok',
  error: i === 3 ? 'syntax error' : null,
}));
