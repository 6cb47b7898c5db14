// Numbers as people read them. Raw numbers come from the server with a unit; null is never zero.
import type { Direction, Locale, Unit } from '../api/schema';

export const NOTHING = '—';
/** Between facts on one line; as a value because templates drop the space at the edge of a block. */
export const SEP = ' · ';
const tag = (locale: Locale): string => (locale === 'zh' ? 'zh-CN' : 'en-US');

const formatters = new Map<string, Intl.NumberFormat>();
function formatter(locale: Locale, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = locale + JSON.stringify(options);
  let made = formatters.get(key);
  if (!made) formatters.set(key, (made = new Intl.NumberFormat(tag(locale), options)));
  return made;
}
/** The minus sign is U+2212 so that it is as wide as a plus and never breaks from its number. */
const minus = (text: string): string => text.replace('-', '−');
const plain = (n: number, locale: Locale, digits: number): string =>
  minus(formatter(locale, { maximumFractionDigits: digits }).format(n));

/** 1.23亿 / 123.4M above ten thousand, grouped digits below. `digits` bounds decimals of small numbers. */
export function compact(n: number, locale: Locale, digits = 2): string {
  // 9,999.6 with no decimals reads 10,000: round first so that the edge does not flicker.
  if (Math.abs(n) < 9_999.5) return plain(n, locale, Math.abs(n) >= 100 ? Math.min(digits, 1) : digits);
  return minus(formatter(locale, { notation: 'compact', maximumSignificantDigits: 4 }).format(n));
}

const SUFFIX: Record<Unit, Record<Locale, string>> = {
  count: { zh: '', en: '' },
  cny: { zh: '', en: '' },
  hours: { zh: '小时', en: 'h' },
  minutes: { zh: '分钟', en: 'min' },
  days: { zh: '天', en: 'd' },
  percent: { zh: '%', en: '%' },
  ratio: { zh: '', en: '' },
  points: { zh: '分', en: 'pts' },
};
/** The difference of two percents is not a percent. */
const PERCENTAGE_POINTS: Record<Locale, string> = { zh: '个百分点', en: ' pp' };
export interface Parts {
  prefix: string;
  number: string;
  suffix: string;
}
/** A value split so that a KPI can draw its unit smaller. `exact` keeps every digit for hover and copy. */
export function parts(value: number | null | undefined, unit: Unit, locale: Locale, exact = false): Parts {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return { prefix: '', number: NOTHING, suffix: '' };
  }
  const suffix = SUFFIX[unit][locale];
  const scaled = unit === 'percent' ? value * 100 : value;
  const digits = unit === 'count' || unit === 'percent' ? 1 : 2;
  const number = exact ? plain(scaled, locale, 6) : compact(scaled, locale, digits);
  const negative = unit === 'cny' && number.startsWith('−');
  return {
    prefix: unit === 'cny' ? (negative ? '−¥' : '¥') : '',
    number: negative ? number.slice(1) : number,
    suffix,
  };
}
export function value(v: number | null | undefined, unit: Unit, locale: Locale, exact = false): string {
  const { prefix, number, suffix } = parts(v, unit, locale, exact);
  const gap = suffix && suffix !== '%' && locale === 'en' ? ' ' : '';
  return prefix + number + gap + suffix;
}

export interface Delta {
  text: string;
  /** ▲ ▼ or nothing when flat. */
  arrow: '▲' | '▼' | '';
  tone: 'good' | 'bad' | 'flat';
}
/**
 * Change against an earlier value. Percents differ in percentage points, all else in percent of the base; a base
 * of zero has no percent, so the difference itself is told. The tone follows the metric's good direction.
 */
export function delta(
  now: number | null,
  before: number | null,
  unit: Unit,
  direction: Direction,
  locale: Locale,
): Delta | null {
  if (now === null || before === null || now === undefined || before === undefined) return null;
  const by = now - before;
  const arrow = by > 0 ? '▲' : by < 0 ? '▼' : '';
  const tone = by === 0 || direction === 'none' ? 'flat' : by > 0 === (direction === 'up') ? 'good' : 'bad';
  const size = Math.abs(by);
  let text: string;
  if (unit === 'percent') text = compact(size * 100, locale, 1) + PERCENTAGE_POINTS[locale];
  else if (before === 0) text = value(size, unit, locale);
  else text = percent(size / Math.abs(before), locale);
  return { text, arrow, tone };
}

/** 0.123 → 12.3%; beyond tenfold one decimal says nothing any more. */
export function percent(share: number | null, locale: Locale, digits = 1): string {
  if (share === null || !Number.isFinite(share)) return NOTHING;
  return `${plain(share * 100, locale, Math.abs(share) >= 10 ? 0 : digits)}%`;
}
export function count(n: number | null | undefined, locale: Locale): string {
  return n === null || n === undefined ? NOTHING : plain(n, locale, 0);
}
export function bytes(n: number | null | undefined, locale: Locale): string {
  if (n === null || n === undefined) return NOTHING;
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let size = n;
  let step = 0;
  while (size >= 1000 && step < units.length - 1) {
    size /= 1000;
    step += 1;
  }
  return `${plain(size, locale, step === 0 || size >= 100 ? 0 : 1)} ${units[step]}`;
}
/** How long something took: 340 ms, 2.3 s, 3 min 20 s. */
export function elapsed(ms: number | null | undefined, locale: Locale): string {
  if (ms === null || ms === undefined) return NOTHING;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${plain(ms / 1000, locale, 1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}
