import { expect, it } from 'vitest';
import { cellText, decimal, grouped, plainTime, shownText } from './cells';

const SH = 'Asia/Shanghai';
it('keeps every digit of decimals and large integers', () => {
  expect(decimal(12345n, 2)).toBe('123.45');
  expect(decimal(-5n, 2)).toBe('-0.05');
  expect(decimal(12n, -2)).toBe('1200');
  expect(decimal(90071992547409931234n, 4)).toBe('9007199254740993.1234');
  expect(cellText(9007199254740993n, { typeId: 2 }, SH)).toBe('9007199254740993');
});
it('tells a moment on the clock of the site, and a time without a zone as it is', () => {
  const at = Date.UTC(2026, 10, 9, 16, 59, 49);
  expect(cellText(at, { typeId: 10, timezone: 'UTC' }, SH)).toBe('2026-11-10 00:59:49');
  expect(cellText(at, { typeId: 10, timezone: 'UTC' }, 'America/New_York')).toBe('2026-11-09 11:59:49');
  expect(cellText(at, { typeId: 10, timezone: null }, SH)).toBe('2026-11-09 16:59:49');
  expect(cellText(at + 250.5, { typeId: 10, timezone: 'UTC' }, SH)).toBe('2026-11-10 00:59:49.2505');
  expect(cellText(-0.001, { typeId: 10 }, SH)).toBe('1969-12-31 23:59:59.999999');
  expect(cellText(9e18, { typeId: 10 }, SH)).toBe('9000000000000000000');
});
it('writes dates, times of day and nested values', () => {
  expect(cellText(Date.UTC(2026, 0, 31), { typeId: 8 }, SH)).toBe('2026-01-31');
  expect(cellText(32_400_000_000n, { typeId: 9, unit: 2 }, SH)).toBe('09:00:00');
  expect(cellText([1n, 2n], { typeId: 12 }, SH)).toBe('["1","2"]');
});
it('groups amounts on screen, never integers that name things', () => {
  expect(shownText(123456789n, { typeId: 7, scale: 2 }, SH)).toBe('1,234,567.89');
  expect(cellText(123456789n, { typeId: 7, scale: 2 }, SH)).toBe('1234567.89');
  expect(shownText(1234.5678, { typeId: 3 }, SH)).toBe('1,234.5678');
  expect(shownText(2026n, { typeId: 2 }, SH)).toBe('2026');
  expect([grouped('-1234'), grouped('999.123456'), grouped('NaN')]).toEqual(['-1,234', '999.123456', 'NaN']);
});
it('reads the times of the API', () => {
  expect(plainTime('2026-11-10T00:59:49+08:00')).toBe('2026-11-10 00:59:49');
  expect(plainTime('2026-11-10T00:59:49.25')).toBe('2026-11-10 00:59:49.25');
  expect(plainTime('T-shirt')).toBe('T-shirt');
});
it('tells null from empty', () => {
  expect(cellText(null, { typeId: 5 }, SH)).toBe('—');
  expect(cellText('', { typeId: 5 }, SH)).toBe('');
});
