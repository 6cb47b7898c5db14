// Spans and schedules of the project's files in words: `15m` → 15 minutes, every 15 minutes.
import type { Locale } from '../api/schema';
import type { Translate } from './words';

const UNITS: Record<string, string> = {
  ms: 'millisecond',
  s: 'second',
  m: 'minute',
  h: 'hour',
  d: 'day',
  w: 'week',
};
interface Spoken {
  n: string;
  unit: string;
}
function spoken(text: string, locale: Locale): Spoken | null {
  const [, number, letters] = /^(\d+)(ms|[smhdw])$/.exec(text) ?? [];
  const unit = UNITS[letters ?? ''];
  if (!number || !unit) return null;
  const style = { style: 'unit', unit, unitDisplay: 'long' } as const;
  const parts = new Intl.NumberFormat(locale === 'zh' ? 'zh-CN' : 'en-US', style).formatToParts(
    Number(number),
  );
  return { n: number, unit: parts.find((part) => part.type === 'unit')?.value ?? '' };
}
export function span(text: string, locale: Locale): string {
  const found = spoken(text, locale);
  return found ? `${found.n} ${found.unit}` : text;
}
/** Crontab expressions stay as they are written. */
export function schedule(text: string, locale: Locale, t: Translate): string {
  const found = spoken(text, locale);
  if (!found) return text;
  return found.n === '1'
    ? t('schedule.each', { unit: found.unit })
    : t('schedule.every', { span: `${found.n} ${found.unit}` });
}
