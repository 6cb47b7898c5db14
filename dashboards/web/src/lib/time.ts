// Times and ranges in words. Instants are RFC 3339 UTC; the site's zone decides what day it is.
import type { Grain, Locale } from '../api/schema';

const tag = (locale: Locale): string => (locale === 'zh' ? 'zh-CN' : 'en-US');
const formatters = new Map<string, Intl.DateTimeFormat>();
function formatter(locale: Locale, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale + zone + JSON.stringify(options);
  let made = formatters.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat(tag(locale), { timeZone: zone, hourCycle: 'h23', ...options });
    formatters.set(key, made);
  }
  return made;
}

interface Civil {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}
/** The wall clock of `zone` at an instant. */
export function civil(t: number, zone: string): Civil {
  const found: Record<string, number> = {};
  const numeric = {
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  } as const;
  for (const part of formatter('en', zone, numeric).formatToParts(t)) found[part.type] = Number(part.value);
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = found;
  return { year, month, day, hour, minute, second };
}
const two = (n: number): string => String(n).padStart(2, '0');
/** `2026-01-31` in the site's zone, as date inputs and range texts want it. */
export function dateText(t: number, zone: string): string {
  const c = civil(t, zone);
  return `${c.year}-${two(c.month)}-${two(c.day)}`;
}
/** The day after (or `days` after) a civil date text; no zone is needed to count days. */
export function addDays(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}

export function clock(t: string | number | null | undefined, zone: string): string {
  if (t === null || t === undefined) return '—';
  const c = civil(+new Date(t), zone);
  return `${two(c.hour)}:${two(c.minute)}`;
}
/** 10:42 today, 3月5日 10:42 this year, else with the year. */
export function moment(t: string | null | undefined, now: number, locale: Locale, zone: string): string {
  if (!t) return '—';
  const at = Date.parse(t);
  const today = civil(now, zone);
  const then = civil(at, zone);
  const time = `${two(then.hour)}:${two(then.minute)}`;
  if (then.year === today.year && then.month === today.month && then.day === today.day) return time;
  const options: Intl.DateTimeFormatOptions =
    then.year === today.year
      ? { month: 'short', day: 'numeric' }
      : { year: 'numeric', month: 'short', day: 'numeric' };
  return `${formatter(locale, zone, options).format(at)} ${time}`;
}
/** `2026-01-31 09:05:07` on the wall clock of `zone`. */
export const wallText = (t: number, zone: string): string =>
  `${dateText(t, zone)} ${clock(t, zone)}:${two(civil(t, zone).second)}`;
/** The exact instant, for hovering. */
export const exactly = (t: string | null | undefined, zone: string): string =>
  t ? `${wallText(Date.parse(t), zone)} ${zone}` : '';
/** "3 分钟前" / "3 minutes ago". What has happened never lies ahead, whatever the two clocks say. */
export const ago = (t: string | null | undefined, now: number, locale: Locale): string =>
  t ? relative(Math.min(Date.parse(t), now) - now, locale) : '—';
/** "2 小时后" / "in 2 hours"; what is due is due now. */
export const ahead = (t: string | null | undefined, now: number, locale: Locale): string =>
  t ? relative(Math.max(Date.parse(t), now) - now, locale) : '—';
function relative(ms: number, locale: Locale): string {
  const seconds = Math.round(ms / 1000);
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [
    [86_400, 'day'],
    [3_600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ];
  const words = new Intl.RelativeTimeFormat(tag(locale), { numeric: 'auto', style: 'short' });
  for (const [size, unit] of steps) {
    if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
  }
  return words.format(0, 'second');
}

/** The label of one bucket on an axis or in a table. */
export function bucket(t: string | number, grain: Grain, locale: Locale, zone: string, full = false): string {
  const at = +new Date(t);
  const c = civil(at, zone);
  switch (grain) {
    case 'hour': {
      const time = `${two(c.hour)}:00`;
      return full || c.hour === 0
        ? `${formatter(locale, zone, { month: 'short', day: 'numeric' }).format(at)} ${time}`
        : time;
    }
    case 'day':
      return formatter(
        locale,
        zone,
        full
          ? { year: 'numeric', month: 'short', day: 'numeric', weekday: 'short' }
          : { month: 'short', day: 'numeric' },
      ).format(at);
    case 'week': {
      const day = formatter(locale, zone, { month: 'short', day: 'numeric' }).format(at);
      return locale === 'zh' ? `${c.month}/${c.day} 周` : `wk ${day}`;
    }
    case 'month':
      return formatter(
        locale,
        zone,
        full || c.month === 1 ? { year: 'numeric', month: 'short' } : { month: 'short' },
      ).format(at);
    case 'quarter':
      return `${c.year} Q${Math.ceil(c.month / 3)}`;
    case 'year':
      return String(c.year);
  }
}
/** Beyond this many hours an axis names days, at midnight, instead of hours. */
const MANY_HOURS = 60;
/** Labels of an axis, and which of its buckets carry one (`undefined`: as many as fit). */
export function axisLabels(
  times: string[],
  grain: Grain,
  locale: Locale,
  zone: string,
): { labels: string[]; shown: ((i: number) => boolean) | undefined } {
  if (grain !== 'hour' || times.length <= MANY_HOURS) {
    return { labels: times.map((t) => bucket(t, grain, locale, zone)), shown: undefined };
  }
  return {
    labels: times.map((t) => bucket(t, 'day', locale, zone)),
    shown: (i) => civil(Date.parse(times[i] ?? ''), zone).hour === 0,
  };
}
/** First and last day of a half-open span: `2026-01-01 – 2026-01-31`. */
export function spanText(from: string, to: string, zone: string): string {
  const first = dateText(Date.parse(from), zone);
  const last = dateText(Date.parse(to) - 1, zone);
  return first === last ? first : `${first} – ${last}`;
}
