// Values of a query result as people read them: exact digits, moments on the site's clock.
import { NOTHING } from './format';
import { wallText } from './time';
import type { CellType } from './types';

const FLOAT = 3;
const DECIMAL = 7;
const DATE = 8;
const TIME = 9;
const TIMESTAMP = 10;
/** Units of times of day in a second, by Arrow's number of the unit. */
const PER_SECOND = [1, 1e3, 1e6, 1e9];
/** Beyond these milliseconds there is no date in JavaScript. */
const LAST_DAY = 8.64e15;

/** 12345n with scale 2 → 123.45; no digit passes through a float. */
export function decimal(scaled: bigint | number, scale: number): string {
  const text = String(scaled);
  if (scale <= 0) return text + '0'.repeat(text === '0' ? 0 : -scale);
  const negative = text.startsWith('-');
  const digits = text.replace('-', '').padStart(scale + 1, '0');
  return `${negative ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
/** 1234567.89 → 1,234,567.89, alike in both languages. Not for integers: years and numbers of documents are names. */
export function grouped(text: string): string {
  const whole = text.split('.', 1)[0] ?? '';
  return whole.replace(/\B(?=(\d{3})+$)/g, ',') + text.slice(whole.length);
}
/** An instant of the API, which is on the site's clock already: `2026-11-10T00:59:49+08:00`. */
export const plainTime = (text: string): string =>
  text.replace(/^(\d{4}-\d\d-\d\d)T([\d:.]+)([+-]\d\d:\d\d|Z)?$/, '$1 $2');

/** The value as it is copied: digits not grouped, times as SQL reads them. */
export function cellText(value: unknown, type: CellType, zone: string): string {
  if (value === null || value === undefined) return NOTHING;
  switch (type.typeId) {
    case DECIMAL:
      return decimal(value as bigint | number, type.scale ?? 0);
    case DATE:
      return dated(value, (ms) => new Date(ms).toISOString().slice(0, 10));
    case TIME:
      return new Date((Number(value) / (PER_SECOND[type.unit ?? 0] ?? 1)) * 1000).toISOString().slice(11, 19);
    case TIMESTAMP:
      return dated(value, (ms) => {
        const second = Math.floor(ms / 1000) * 1000;
        return wallText(second, type.timezone ? zone : 'UTC') + fraction(ms - second);
      });
    default:
      break;
  }
  if (typeof value === 'object') {
    return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner));
  }
  return String(value);
}
/** The value as it is read on screen. */
export function shownText(value: unknown, type: CellType, zone: string): string {
  const text = cellText(value, type, zone);
  return type.typeId === DECIMAL || type.typeId === FLOAT ? grouped(text) : text;
}
function dated(value: unknown, write: (ms: number) => string): string {
  const ms = Number(value);
  return Math.abs(ms) <= LAST_DAY ? write(ms) : String(value);
}
/** `.25` of a second, to the microsecond: milliseconds come with decimals. */
function fraction(ms: number): string {
  const micros = Math.round(ms * 1000);
  return micros > 0 && micros < 1e6 ? `.${String(micros).padStart(6, '0').replace(/0+$/, '')}` : '';
}
