// The text of a time range as it stands in the URL and goes to the server, and its name in words.
import type { Grain } from '../api/schema';
import type { Translate } from './words';
import { addDays } from './time';

export const PRESETS = [
  '24h',
  '7d',
  '30d',
  '90d',
  '12M',
  'now/d',
  'now/w',
  'now/M',
  'now/Q',
  'now/y',
  'last/w',
  'last/M',
] as const;
const ROLLING = /^(\d{1,4})([hdwM])$/;
const CALENDAR = /^(now|last)\/([dwMQy])$/;
const CUSTOM = /^(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})$/;

const realDate = (text: string): boolean => !Number.isNaN(Date.parse(text)) && addDays(text, 0) === text;

/** Whether the server will understand it; anything else in a URL falls back to the default. */
export function isRange(text: string): boolean {
  const custom = CUSTOM.exec(text);
  if (custom) {
    const [, from = '', to = ''] = custom;
    return realDate(from) && realDate(to) && from < to;
  }
  const rolling = ROLLING.exec(text);
  return rolling ? Number(rolling[1]) > 0 : CALENDAR.test(text);
}
/** Both days included, as people choose them; the text's end is exclusive. */
export function customRange(first: string, last: string): string {
  return `${first}..${addDays(last, 1)}`;
}
export function customDays(text: string): { first: string; last: string } | null {
  const custom = CUSTOM.exec(text);
  return custom?.[1] && custom[2] ? { first: custom[1], last: addDays(custom[2], -1) } : null;
}
export function rangeName(text: string, t: Translate): string {
  const rolling = ROLLING.exec(text);
  if (rolling) {
    const unit = { h: 'range.hours', d: 'range.days', w: 'range.weeks', M: 'range.months' } as const;
    return t(unit[rolling[2] as keyof typeof unit], { n: rolling[1] ?? '' });
  }
  const calendar = CALENDAR.exec(text);
  if (calendar) {
    const names = {
      'now/d': 'range.today',
      'now/w': 'range.thisWeek',
      'now/M': 'range.thisMonth',
      'now/Q': 'range.thisQuarter',
      'now/y': 'range.thisYear',
      'last/d': 'range.yesterday',
      'last/w': 'range.lastWeek',
      'last/M': 'range.lastMonth',
      'last/Q': 'range.lastQuarter',
      'last/y': 'range.lastYear',
    } as const;
    return t(names[text as keyof typeof names]);
  }
  const custom = customDays(text);
  if (custom) return custom.first === custom.last ? custom.first : `${custom.first} – ${custom.last}`;
  return text;
}
/** A grain that gives a readable number of points for a range. */
export function grainFor(text: string): Grain {
  const custom = CUSTOM.exec(text);
  let days = 30;
  const rolling = ROLLING.exec(text);
  if (rolling)
    days =
      Number(rolling[1]) *
      (({ h: 1 / 24, d: 1, w: 7, M: 30 } as Record<string, number>)[rolling[2] ?? 'd'] ?? 1);
  else if (custom) days = (Date.parse(custom[2] ?? '') - Date.parse(custom[1] ?? '')) / 86_400_000;
  else days = ({ d: 1, w: 7, M: 30, Q: 91, y: 365 } as Record<string, number>)[text.at(-1) ?? 'M'] ?? 30;
  if (days <= 3) return 'hour';
  if (days <= 100) return 'day';
  if (days <= 270) return 'week';
  return days <= 2200 ? 'month' : 'year';
}
