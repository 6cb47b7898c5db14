import { describe, expect, it } from 'vitest';
import { bytes, compact, delta, elapsed, NOTHING, parts, percent, value } from './format';

describe('numbers', () => {
  it('uses 万 and 亿 in Chinese and K and M in English', () => {
    expect(compact(123_456_789, 'zh')).toBe('1.235亿');
    expect(compact(52_300, 'zh')).toBe('5.23万');
    expect(compact(52_300, 'en')).toBe('52.3K');
    expect(compact(123_456_789, 'en')).toBe('123.5M');
  });
  it('keeps digits below ten thousand and does not flicker at the edge', () => {
    expect(compact(9_999, 'zh')).toBe('9,999');
    expect(compact(10_000, 'zh')).toBe('1万');
    expect(compact(9_999.6, 'zh')).toBe('1万');
    expect(compact(99_999_999, 'zh')).toMatch(/^1亿$|^10000万$/);
  });
  it('tells nothing from zero', () => {
    expect(value(null, 'count', 'zh')).toBe(NOTHING);
    expect(value(undefined, 'cny', 'en')).toBe(NOTHING);
    expect(value(Number.NaN, 'cny', 'en')).toBe(NOTHING);
    expect(value(0, 'count', 'zh')).toBe('0');
    expect(value(0, 'percent', 'zh')).toBe('0%');
  });
  it('puts the sign before the currency', () => {
    expect(value(-1234.5, 'cny', 'en')).toBe('−¥1,234.5');
    expect(value(12_345_678.9, 'cny', 'zh')).toBe('¥1235万');
    expect(value(12_345_678.9, 'cny', 'zh', true)).toBe('¥12,345,678.9');
  });
  it('scales percents and names units', () => {
    expect(value(0.9523, 'percent', 'zh')).toBe('95.2%');
    expect(value(3.25, 'hours', 'zh')).toBe('3.25小时');
    expect(value(3.25, 'hours', 'en')).toBe('3.25 h');
    expect(parts(3, 'days', 'en')).toEqual({ prefix: '', number: '3', suffix: 'd' });
  });
});

describe('changes', () => {
  it('colours by the good direction, never by the sign', () => {
    expect(delta(112, 100, 'count', 'down', 'en')).toEqual({ text: '12%', arrow: '▲', tone: 'bad' });
    expect(delta(88, 100, 'count', 'down', 'en')).toEqual({ text: '12%', arrow: '▼', tone: 'good' });
    expect(delta(88, 100, 'count', 'none', 'en')?.tone).toBe('flat');
    expect(delta(100, 100, 'count', 'up', 'en')).toEqual({ text: '0%', arrow: '', tone: 'flat' });
  });
  it('tells percentage points from percent', () => {
    expect(delta(0.95, 0.9, 'percent', 'up', 'zh')).toEqual({ text: '5个百分点', arrow: '▲', tone: 'good' });
    expect(delta(0.95, 0.9, 'percent', 'up', 'en')?.text).toBe('5 pp');
  });
  it('has no percent of zero and nothing to say about nothing', () => {
    expect(delta(5, 0, 'count', 'up', 'en')?.text).toBe('5');
    expect(delta(null, 5, 'count', 'up', 'en')).toBeNull();
    expect(delta(5, null, 'count', 'up', 'en')).toBeNull();
  });
  it('measures against the size of a negative base', () => {
    expect(delta(-50, -100, 'cny', 'up', 'en')).toEqual({ text: '50%', arrow: '▲', tone: 'good' });
  });
});

it('writes shares, sizes and durations', () => {
  expect(percent(0.1234, 'zh')).toBe('12.3%');
  expect(percent(null, 'zh')).toBe(NOTHING);
  expect(bytes(1_234_567, 'en')).toBe('1.2 MB');
  expect(bytes(999, 'en')).toBe('999 B');
  expect(elapsed(340, 'en')).toBe('340 ms');
  expect(elapsed(2_340, 'en')).toBe('2.3 s');
  expect(elapsed(200_000, 'en')).toBe('3 min 20 s');
});
