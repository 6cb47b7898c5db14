import { expect, it } from 'vitest';
import {
  addDays,
  ago,
  ahead,
  axisLabels,
  bucket,
  civil,
  clock,
  dateText,
  exactly,
  moment,
  spanText,
  wallText,
} from './time';

const SH = 'Asia/Shanghai';
it('reads the wall clock of the zone', () => {
  expect(dateText(Date.parse('2026-01-31T16:30:00Z'), SH)).toBe('2026-02-01');
  expect(clock('2026-01-31T16:30:00Z', SH)).toBe('00:30');
  expect(civil(Date.parse('2026-03-29T01:30:00Z'), 'Europe/Berlin').hour).toBe(3);
});
it('counts days over months, leap days and clock changes', () => {
  expect(addDays('2026-02-28', 1)).toBe('2026-03-01');
  expect(addDays('2028-02-28', 1)).toBe('2028-02-29');
  expect(addDays('2026-03-28', 2)).toBe('2026-03-30');
});
it('leaves out what today makes plain', () => {
  const now = Date.parse('2026-11-24T04:00:00Z');
  expect(moment('2026-11-24T01:42:00Z', now, 'zh', SH)).toBe('09:42');
  expect(moment('2026-11-20T01:42:00Z', now, 'zh', SH)).toBe('11月20日 09:42');
  expect(moment('2025-11-20T01:42:00Z', now, 'zh', SH)).toBe('2025年11月20日 09:42');
  expect(moment(null, now, 'zh', SH)).toBe('—');
});
it('tells distance in words', () => {
  const now = Date.parse('2026-11-24T04:00:00Z');
  expect(ago('2026-11-24T03:57:00Z', now, 'zh')).toBe('3分钟前');
  expect(ahead('2026-11-24T06:00:00Z', now, 'en')).toBe('in 2 hr.');
  expect(ago('2026-11-24T04:00:06Z', now, 'en')).toBe('now');
  expect(ahead('2026-11-24T03:00:00Z', now, 'en')).toBe('now');
});
it('labels buckets', () => {
  expect(bucket('2026-11-23T16:00:00Z', 'hour', 'zh', SH)).toBe('11月24日 00:00');
  expect(bucket('2026-11-23T17:00:00Z', 'hour', 'zh', SH)).toBe('01:00');
  expect(bucket('2026-11-23T16:00:00Z', 'day', 'en', SH)).toBe('Nov 24');
  expect(bucket('2025-12-31T16:00:00Z', 'month', 'zh', SH)).toBe('2026年1月');
  expect(bucket('2026-09-30T16:00:00Z', 'quarter', 'en', SH)).toBe('2026 Q4');
});
it('names a week by its first day in both languages', () => {
  expect(bucket('2026-10-25T16:00:00Z', 'week', 'zh', SH)).toBe('10/26 周');
  expect(bucket('2026-10-25T16:00:00Z', 'week', 'en', SH)).toBe('wk Oct 26');
});
it('writes a moment to the second, also where clocks were not on the minute', () => {
  expect(wallText(Date.parse('2026-11-09T16:59:49Z'), SH)).toBe('2026-11-10 00:59:49');
  expect(wallText(Date.parse('1900-01-01T00:00:00Z'), SH)).toBe('1900-01-01 08:05:43');
  expect(exactly('2026-11-09T16:59:49Z', SH)).toBe('2026-11-10 00:59:49 Asia/Shanghai');
  expect(exactly(null, SH)).toBe('');
});
it('shows the last day that belongs to a span', () => {
  expect(spanText('2025-12-31T16:00:00Z', '2026-01-31T16:00:00Z', SH)).toBe('2026-01-01 – 2026-01-31');
  expect(spanText('2025-12-31T16:00:00Z', '2026-01-01T16:00:00Z', SH)).toBe('2026-01-01');
});
it('names days instead of hours on a long axis', () => {
  const hours = Array.from({ length: 96 }, (_, i) =>
    new Date(Date.parse('2026-11-20T16:00:00Z') + i * 3_600_000).toISOString(),
  );
  const { labels, shown } = axisLabels(hours, 'hour', 'en', SH);
  expect([0, 1, 24].map((i) => shown?.(i))).toEqual([true, false, true]);
  expect(labels[24]).toBe('Nov 22');
  expect(axisLabels(hours.slice(0, 24), 'hour', 'en', SH).shown).toBeUndefined();
});
