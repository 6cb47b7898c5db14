import { describe, expect, it } from 'vitest';
import type { BandPoint, LineSeries } from '../api/schema';
import { chartInk, LIGHT, Palette } from '../lib/colour';
import { bandOption, outsideOf } from './bandOption';
import { align, bridges, fromZero, lineOption, MAX_LINES, tail } from './lineOption';
import { timeOption } from './timeOption';

const ink = chartInk(false);
const tick = String;
const series = (key: string | null, values: (number | null)[], more: object = {}): LineSeries => ({
  key,
  total: 1,
  points: values.map((v, i) => ({ t: `2026-01-0${i + 1}T00:00:00Z`, v, ...more })),
});
interface Drawn {
  name: string;
  data: (number | null)[];
  stack?: string;
  lineStyle?: { type?: unknown; opacity?: number };
}
const drawn = (option: { series?: unknown }): Drawn[] => option.series as Drawn[];

describe('lines', () => {
  it('aligns series on all buckets and leaves gaps as gaps', () => {
    const short = series('b', [9]);
    const { times, lines } = align([series('a', [1, null, 3]), short], new Palette(), false, 'x');
    expect(times).toHaveLength(3);
    expect(lines.map((l) => l.values)).toEqual([
      [1, null, 3],
      [9, null, null],
    ]);
  });
  it('keeps the colour of a value over charts and themes', () => {
    const palette = new Palette();
    align([series('east', [1]), series('west', [1])], palette, false, 'x');
    const { lines } = align([series('west', [1])], palette, false, 'x');
    expect(lines[0]?.colour).toBe(LIGHT[1]);
  });
  it('draws no more lines than can be told apart', () => {
    const many = Array.from({ length: 9 }, (_, n) => series(`k${n}`, [n]));
    expect(align(many, new Palette(), false, 'x').lines).toHaveLength(MAX_LINES);
  });
  it('dashes the unfinished bucket from the last whole point on', () => {
    const one = series(null, [1, 2, 3]);
    const last = one.points[2];
    if (last) last.partial = true;
    const lines = align([one], new Palette(), false, 'Revenue');
    expect(lines.lines[0] && tail(lines.lines[0])).toEqual([null, 2, 3]);
    const all = drawn(lineOption(lines, ['1', '2', '3'], ink, tick, true));
    expect(all.map((s) => s.name)).toEqual(['Revenue', 'Revenue …']);
    expect(all[0]?.data).toEqual([1, 2, null]);
  });
  it('draws the period before only when asked to compare', () => {
    const lines = align([series(null, [1, 2], { prev: 5 })], new Palette(), false, 'Revenue');
    expect(drawn(lineOption(lines, ['1', '2'], ink, tick, false))).toHaveLength(1);
    const [before] = drawn(lineOption(lines, ['1', '2'], ink, tick, true));
    expect(before).toMatchObject({ data: [5, 5], lineStyle: { type: 'dashed', opacity: 0.5 } });
  });
});

describe('labels of axes', () => {
  it('lie inside the drawing, and give way to each other', () => {
    const all = [
      timeOption(['1', '2'], [], ink, tick, true),
      lineOption(align([series(null, [1, 2])], new Palette(), false, 'x'), ['1', '2'], ink, tick, true),
      bandOption([], [], ink, tick),
    ];
    for (const option of all) {
      expect(option.grid).toMatchObject({ outerBoundsMode: 'same', outerBoundsContain: 'axisLabel' });
      expect(option.xAxis).toMatchObject({ axisLabel: { hideOverlap: true } });
    }
  });
});

describe('gaps', () => {
  it('bridges weekends straight, and leaves longer gaps open', () => {
    const week = [4, null, null, 10, 9, null, null, null, null, 5, null];
    expect(bridges(week, 3)).toEqual([4, 6, 8, 10, null, null, null, null, null, null, null]);
    expect(bridges(week, 0).every((v) => v === null)).toBe(true);
  });
  it('draws a bridge thin and dotted beside the line, which keeps its gap', () => {
    const data = align([series(null, [4, null, 6])], new Palette(), false, 'Rate');
    const all = drawn(lineOption({ ...data, gap: 3 }, ['1', '2', '3'], ink, tick, false));
    expect(all.map((s) => s.data)).toEqual([
      [4, null, 6],
      [4, 5, 6],
    ]);
    expect(all[1]?.lineStyle).toMatchObject({ width: 1, type: 'dotted' });
    expect(drawn(lineOption(data, ['1', '2', '3'], ink, tick, false))).toHaveLength(1);
  });
});

describe('the scale of lines', () => {
  const lines = (...values: number[]) => align([series(null, values)], new Palette(), false, 'x');
  const axis = (share: boolean, ...values: number[]) =>
    lineOption(lines(...values), ['1', '2'], ink, tick, false, undefined, share).yAxis;
  it('measures amounts from nothing, and high shares on a scale of their own', () => {
    expect(fromZero(lines(90, 99).lines, false)).toBe(true);
    expect(fromZero(lines(0.9, 0.99).lines, true)).toBe(false);
    expect(fromZero(lines(0.2, 0.99).lines, true)).toBe(true);
    expect(fromZero([], true)).toBe(true);
  });
  it('ends at the whole where shares come near it', () => {
    expect(axis(true, 0.95, 0.99)).toMatchObject({ scale: true, max: 1 });
    expect(axis(true, 0.1, 0.5)).not.toHaveProperty('max');
    expect(axis(true, 0.9, 1.2)).not.toHaveProperty('max');
    expect(axis(false, 0.95, 0.99)).toMatchObject({ scale: false });
    expect(axis(false, 0.95, 0.99)).not.toHaveProperty('max');
  });
});

describe('the expected band', () => {
  const point = (v: number, low: number | null, high: number | null, outside = false): BandPoint => ({
    t: '2026-01-01T00:00:00Z',
    v,
    low,
    high,
    outside,
  });
  const get = (points: BandPoint[], name: string): Drawn | undefined =>
    drawn(
      bandOption(
        points,
        points.map(() => ''),
        ink,
        tick,
      ),
    ).find((s) => s.name === name);
  it('is as high as the distance of its limits', () => {
    const points = [point(5, 2, 8), point(20, -4, 8, true)];
    expect(get(points, 'low')?.data).toEqual([2, -4]);
    expect(get(points, 'band')?.data).toEqual([6, 12]);
    expect(get(points, 'band')?.stack).toBe('band');
  });
  it('marks exactly the points outside', () => {
    const points = [point(5, 2, 8), point(20, 2, 8, true), point(1, 2, 8, true)];
    expect(outsideOf(points)).toHaveLength(2);
    expect(get(points, 'outside')?.data).toEqual([null, 20, 1]);
  });
  it('is a line when only one side is limited', () => {
    const points = [point(5, null, 8), point(9, null, 8, true)];
    expect(get(points, 'band')).toBeUndefined();
    expect(get(points, 'upper limit')?.data).toEqual([8, 8]);
    expect(get(points, 'lower limit')?.data).toEqual([null, null]);
  });
});
