import { expect, it } from 'vitest';
import { cellText, decimal, isNumeric } from './cells';

it('keeps every digit of decimals and large integers', () => {
  expect(decimal(12345n, 2)).toBe('123.45');
  expect(decimal(-5n, 2)).toBe('-0.05');
  expect(decimal(90071992547409931234n, 4)).toBe('9007199254740993.1234');
  expect(cellText(9007199254740993n, { typeId: 2 })).toBe('9007199254740993');
});
it('writes dates, instants and nested values', () => {
  expect(cellText(Date.UTC(2026, 0, 31), { typeId: 8 })).toBe('2026-01-31');
  expect(cellText(Date.UTC(2026, 0, 31, 1, 2, 3), { typeId: 10 })).toBe('2026-01-31 01:02:03');
  expect(cellText([1n, 2n], { typeId: 12 })).toBe('["1","2"]');
});
it('tells null from empty', () => {
  expect(cellText(null, { typeId: 5 })).toBe('—');
  expect(cellText('', { typeId: 5 })).toBe('');
  expect(isNumeric({ typeId: 7 })).toBe(true);
});
