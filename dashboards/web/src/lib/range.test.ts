import { describe, expect, it } from 'vitest';
import { customDays, customRange, grainFor, isRange, PRESETS, rangeName } from './range';
import { translator } from './words';
import { en } from './words/en';
import { zh } from './words/zh';

describe('range texts', () => {
  it('accepts every preset', () => {
    expect(PRESETS.filter((text) => !isRange(text))).toEqual([]);
  });
  it('refuses what the server would refuse', () => {
    for (const text of [
      '',
      '0d',
      '7x',
      'now/h',
      '2026-02-30..2026-03-02',
      '2026-03-02..2026-03-02',
      '2026-03-02..2026-03-01',
      '-3d',
    ]) {
      expect(isRange(text), text).toBe(false);
    }
  });
  it('includes both chosen days although the end is exclusive', () => {
    expect(customRange('2026-01-01', '2026-01-31')).toBe('2026-01-01..2026-02-01');
    expect(customDays('2026-01-01..2026-02-01')).toEqual({ first: '2026-01-01', last: '2026-01-31' });
    expect(customRange('2028-02-28', '2028-02-28')).toBe('2028-02-28..2028-02-29');
  });
  it('has a name in both languages', () => {
    expect(rangeName('7d', translator(zh))).toBe('最近 7 天');
    expect(rangeName('last/M', translator(en))).toBe('Last month');
    expect(rangeName('2026-01-01..2026-01-02', translator(en))).toBe('2026-01-01');
  });
  it('chooses a grain that can be read', () => {
    expect(
      ['24h', '7d', '90d', '26w', '12M', 'now/d', 'now/Q', '2026-01-01..2026-01-03'].map(grainFor),
    ).toEqual(['hour', 'day', 'day', 'week', 'month', 'hour', 'day', 'hour']);
  });
});
