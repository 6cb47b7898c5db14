// The shapes of /api as the server documents them. Plain types only, in the order of the routes, so that a
// file generated from the OpenAPI snapshot can take this one's place.

export type Locale = 'zh' | 'en';
export interface Title {
  zh: string;
  en: string;
}
/** Value → what it is called. */
export type Titles = Record<string, Title>;
export interface Problem {
  code: string;
  title?: string;
  detail?: string;
  hint?: string;
  query_id?: string;
  status?: number;
  line?: number;
  column?: number;
  until?: string;
}

export interface Session {
  user: string;
  display: string;
  roles: string[];
  permissions: string[];
  locale: Locale | null;
  csrf: string;
  now: string;
  site: { name: Title; timezone: string; locale: Locale };
  default_dashboard: string | null;
  demo: { speed: number } | null;
}

export type Unit = 'count' | 'cny' | 'hours' | 'minutes' | 'days' | 'percent' | 'ratio' | 'points';
export type Direction = 'up' | 'down' | 'none';
export type Grain = 'hour' | 'day' | 'week' | 'month' | 'quarter' | 'year';
export type Compare = 'previous' | 'last_year';

export interface MetricRef {
  name: string;
  title: Title;
  unit: Unit;
  direction: Direction;
  target: number | null;
  description?: Title | null;
}
export interface DimensionRef {
  dimension: string;
  title: Title;
  /** A metric of the page that has the dimension: its values are offered. */
  metric?: string;
  /** What its values are called, as far as is known before they are asked for. */
  titles?: Titles | undefined;
}
export type TileKind = 'kpi' | 'line' | 'bar' | 'table';
export interface Tile {
  kind: TileKind;
  id: string;
  width: number | null;
  title: Title | null;
  metric?: MetricRef;
  metrics?: MetricRef[];
  grain?: Grain | null;
  by?: string[] | string | null;
  limit?: number | null;
  /** Range of this tile, whatever the reader chose. */
  range?: string | null;
}
export interface DashboardEntry {
  name: string;
  title: Title;
}
export interface Dashboard {
  name: string;
  title: Title;
  range: string;
  compare: Compare | null;
  filters: DimensionRef[];
  rows: Tile[][];
  problem?: ProjectProblem | null;
  /** What stands below a problem: an older version of the page, or the tiles of this one that are right. */
  served?: 'good_tiles' | 'last_good_version';
}

export interface DashboardAsk {
  range: string;
  /** `none`: nothing, whatever the dashboard says. */
  compare: Compare | 'none';
  filters: Record<string, string[]>;
  tiles?: string[];
}
export interface TableStamp {
  name: string;
  version: number;
  updated_at?: string | null;
}
export interface SparkPoint {
  t: string;
  v: number | null;
  p?: boolean;
}
export interface LinePoint {
  t: string;
  v: number | null;
  prev?: number | null;
  partial?: boolean;
}
export interface LineSeries {
  key: string | null;
  /** What the value is called, where it has a title. */
  title?: Title;
  /** True for the curve of all values without a curve of their own. */
  other?: boolean;
  total: number | null;
  points: LinePoint[];
}
export interface Bar {
  key: string | null;
  /** What the value is called, where it has a title. */
  title?: Title;
  value: number | null;
  previous: number | null;
}
export interface TileColumn {
  name: string;
  title: Title;
  unit: Unit | null;
  kind: 'dimension' | 'metric';
  /** Of a dimension: value → what it is called. */
  titles?: Record<string, Title>;
}
export type Cell = string | number | boolean | null;
export interface TileOk {
  ok: true;
  as_of: string | null;
  query_id: string;
  cached: boolean;
  tables: TableStamp[];
  /** Page filters that the tile does not follow, because its metric lacks the dimension. */
  ignored_filters?: string[];
  /** The data does not know all of what values would be compared to: no percentage may be shown. */
  incomplete?: boolean;
  kpi?: { value: number | null; previous: number | null; target: number | null; spark: SparkPoint[] };
  line?: { grain: Grain; series: LineSeries[] };
  bar?: { bars: Bar[] };
  table?: { columns: TileColumn[]; rows: Cell[][] };
}
export interface TileFailed {
  ok: false;
  code: string;
  detail: string;
  hint?: string | null;
  query_id?: string | null;
}
export type TileAnswer = TileOk | TileFailed;
export interface Span {
  from: string;
  to: string;
}
export interface DashboardAnswer {
  range: Span;
  previous?: Span | null;
  now: string;
  tiles: Record<string, TileAnswer>;
}

export interface Metric extends MetricRef {
  description: Title | null;
  table: string;
  dimensions: { name: string; title: Title; titles?: Titles }[];
}
export interface MetricAsk {
  metric: string;
  range: string;
  grain?: Grain | null;
  by: string[];
  filters: { dimension: string; values: string[]; exclude: boolean }[];
  compare?: Compare | null;
  limit?: number | null;
  order: 'time' | 'value_desc' | 'value_asc';
}
export interface MetricAnswer {
  rows: {
    time: string | null;
    by: (string | null)[];
    value: number | null;
    previous: number | null;
    partial: boolean;
  }[];
  as_of: string | null;
  tables: TableStamp[] | [string, number][];
  range: Span;
  previous_range?: Span | null;
  query_id: string;
  /** Dimension → value → what it is called. */
  titles?: Record<string, Titles>;
}
export interface DimensionValues {
  values: (string | null)[];
  titles?: Titles;
}

export interface Column {
  name: string;
  type: string;
  nullable?: boolean;
  title?: Title | null;
}
export interface TableInfo {
  zone: string;
  name: string;
  title: Title | null;
  rows: number | null;
  bytes: number | null;
  files: number | null;
  version: number | null;
  updated_at: string | null;
  columns: Column[];
  upstream: string[];
  downstream: string[];
  checks?: { ok: boolean; message: string | null } | null;
}
export interface Rows {
  columns: (Column | string)[];
  rows: Cell[][];
}
/** A metric, dashboard or rule that stands on a table. */
export interface TableUse {
  kind: 'metric' | 'dashboard' | 'rule';
  name: string;
  title: Title;
  direct: boolean;
}
export interface BuildReport {
  version: number | null;
  rows: number;
  checks: { name?: string; ok?: boolean; message?: string | null }[];
  published: boolean;
  unchanged: boolean;
}
/** Whether the model behind a mart table is to be built, and what that means. */
export interface Due {
  model: string;
  stale: boolean;
  /** The next build computes every row. */
  full: boolean;
  /** Why it is stale; empty when it is not. */
  reason: string;
  /** What its last builds took, on average. */
  cost: BuildCost | null;
}
export interface BuildCost {
  seconds: number;
  rows: number;
  bytes: number;
}
export interface TableDetail extends TableInfo {
  due?: Due | null;
  used_by?: TableUse[];
  sample?: Rows | null;
}

export interface SqlHistoryEntry {
  id: string;
  sql: string;
  started_at: string;
  elapsed_ms: number | null;
  rows: number | null;
  outcome: string;
  error?: string | null;
}

export type Severity = 'critical' | 'warning' | 'info';
export type AlertState = 'pending' | 'firing' | 'resolved';
export interface AlertEntry {
  id: string;
  rule: string;
  title: Title;
  state: AlertState;
  severity: Severity;
  labels: Record<string, string>;
  /** The newest while it fires. */
  value: number | null;
  value_at?: string | null;
  fired_value?: number | null;
  resolved_value?: number | null;
  low: number | null;
  high: number | null;
  unit?: Unit | null;
  summary: Title;
  started_at: string;
  fired_at: string | null;
  resolved_at: string | null;
  acked: { by: string; at: string; note: string } | null;
  /** The reader may not read what it was read from: labels, values and texts are left out. */
  hidden?: boolean;
}
export interface AlertPage {
  alerts: AlertEntry[];
  next?: number | null;
}
export interface BandPoint {
  t: string;
  v: number | null;
  low: number | null;
  high: number | null;
  outside: boolean;
}
export interface DeliveryAttempt {
  at: string;
  status: number | null;
  ms: number | null;
  response: string | null;
  error: string | null;
}
export interface Delivery {
  id: string;
  channel: string;
  /** `alert.firing` or `alert.resolved`. */
  kind?: string;
  state: string;
  attempts: number;
  next_at: string | null;
  history: DeliveryAttempt[];
}
export interface Channel {
  name: string;
  kind: string;
  /** Only the host, or the reference to it. */
  address: string;
  state: 'open' | 'resting' | 'closed';
  reason: string;
  closed_at: string | null;
  waiting: number;
  dead: number;
  last_accepted: string | null;
  last_error: string;
}
export interface ChannelTest {
  accepted: boolean;
  status: number | null;
  ms: number;
  response: string;
  error: string;
}
export interface AlertDetail extends AlertEntry {
  /** The summary as it was when it fired. */
  fired_summary?: Title | null;
  /** Why it fired, with its figures. */
  reason?: Title | null;
  /** The moment that `series` and `rows` show. */
  evidence_at?: string | null;
  description: Title | null;
  action?: Title | null;
  rule_yaml: string;
  series: { unit: Unit | null; metric: string | null; points: BandPoint[] } | null;
  rows?: Rows | null;
  timeline: { at: string; state: string; note: string | null }[];
  deliveries: Delivery[];
}

export interface RuleEntry {
  name: string;
  title: Title;
  severity: Severity;
  every: string;
  metric?: string | null;
  state: {
    firing: number;
    pending: number;
    last_evaluated: string | null;
    last_error: string | null;
    failing_since?: string | null;
  } | null;
  problem?: ProjectProblem | null;
}
export interface RuleDetail extends RuleEntry {
  description?: Title | null;
  yaml: string;
  condition: unknown;
  notify: string[];
  alerts: AlertEntry[];
}

/** Rows set aside for one reason, with where the first one stands. */
export interface SetAside {
  reason: string;
  count: number;
  first?: string | null;
}
/** Cells of one column that could not be kept as delivered. */
export interface ChangedCells {
  column: string;
  how: string;
  count: number;
  first?: string | null;
}
export interface SourceRun {
  at: string;
  stream?: string;
  rows: number;
  rejected: number;
  /** All rows that it read: `rows`, `rejected` and what was refused. */
  read?: number | null;
  ms: number;
  /** null while it runs. */
  outcome: string | null;
  message: string | null;
  /** One per line. */
  warnings?: string | null;
  /** How it ended, in a sentence of the server. */
  state?: string | null;
  set_aside?: SetAside[];
  changed?: ChangedCells[];
}
export interface SourceStream {
  name: string;
  table: string;
  rows?: number | null;
  last_run: SourceRun | null;
  next_at: string | null;
  cursor?: unknown;
}
export interface SourceEntry {
  name: string;
  title: Title;
  kind: string;
  schedule: string | null;
  streams: SourceStream[];
  state: 'ok' | 'late' | 'failed' | 'never' | 'set_aside';
}
export interface SourceTest {
  offers: { name: string; detail: string }[];
  streams: { stream: string; columns: Column[]; error: string | null }[];
}
export interface StreamPreview {
  stream: string;
  table: string;
  file: string | null;
  /** How it was understood: format, encoding, delimiter … */
  found: [string, string][];
  columns: Column[];
  rows: (string | null)[][];
  read: number;
  rejected_rows: number;
  set_aside: { row: number | null; reason: string; text: string }[];
  changed: ChangedCells[];
  warnings: string[];
  complete: boolean;
}
export interface QuarantineEntry {
  table: string;
  rows: number;
  /** `first`: where the first such row stands. */
  reasons: { column: string | null; reason: string; count: number; first?: string | null }[];
}
/** Clean rows are judged at once; raw ones are read again by a job. */
export interface RetryReport {
  rejected?: number;
  /** Rows that left quarantine. */
  released?: number;
  /** Rows in quarantine afterwards. */
  standing?: number;
  job?: string;
}

export interface ProjectProblem {
  file: string;
  line: number | null;
  column: number | null;
  message: string;
  hint: string | null;
  severity: 'error' | 'warning';
}
export interface Project {
  revision: number | string;
  loaded_at: string;
  files: number;
  problems: ProjectProblem[];
}

export interface User {
  name: string;
  display: string;
  roles: string[];
  disabled: boolean;
  last_login: string | null;
}
export interface AuditRow {
  /** Place in the chain; pages go back from it. */
  seq: number;
  at: string;
  actor: string;
  action: string;
  object: string | null;
  outcome: string;
  detail: string | null;
  ip: string | null;
}

export type EventKind = 'table' | 'alert' | 'job' | 'project' | 'demo' | 'delivery' | 'resync';
export interface ServerEvent {
  kind: EventKind;
  id: string;
  data: Record<string, unknown>;
}
