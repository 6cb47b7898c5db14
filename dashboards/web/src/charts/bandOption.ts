// A series in its expected band; points outside carry a mark of their own shape, not colour alone.
import type { BandPoint } from '../api/schema';
import type { ChartInk } from '../lib/colour';
import { timeOption, type ChartOption, type Series } from './timeOption';

export const outsideOf = (points: BandPoint[]): BandPoint[] => points.filter((point) => point.outside);

export function bandOption(
  points: BandPoint[],
  labels: string[],
  ink: ChartInk,
  tick: (n: number) => string,
  shown?: (i: number) => boolean,
): ChartOption {
  const base = { type: 'line' as const, silent: true, symbol: 'none', connectNulls: false };
  const both = points.map((p) => p.low !== null && p.high !== null);
  const edge = { color: ink.muted, width: 1, type: 'dashed' as const, opacity: 0.8 };
  const series: Series[] = [];
  if (both.some(Boolean)) {
    // An area between two lines is a stack: an invisible lower one and the distance to the upper.
    const stack = { stack: 'band', stackStrategy: 'all' as const };
    series.push({
      ...base,
      ...stack,
      name: 'low',
      data: points.map((p, i) => (both[i] ? p.low : null)),
      lineStyle: { opacity: 0 },
    });
    series.push({
      ...base,
      ...stack,
      name: 'band',
      data: points.map((p, i) => (both[i] ? (p.high ?? 0) - (p.low ?? 0) : null)),
      lineStyle: { opacity: 0 },
      areaStyle: { color: ink.accent, opacity: ink.dark ? 0.2 : 0.13 },
    });
  }
  // One-sided limits are lines: nothing is said about the other side.
  series.push({
    ...base,
    name: 'lower limit',
    data: points.map((p, i) => (both[i] ? null : p.low)),
    lineStyle: edge,
  });
  series.push({
    ...base,
    name: 'upper limit',
    data: points.map((p, i) => (both[i] ? null : p.high)),
    lineStyle: edge,
  });
  series.push({
    ...base,
    name: 'value',
    data: points.map((p) => p.v),
    lineStyle: { color: ink.accent, width: 2 },
  });
  series.push({
    type: 'scatter',
    name: 'outside',
    silent: true,
    symbol: 'diamond',
    symbolSize: 12,
    z: 5,
    data: points.map((p) => (p.outside ? p.v : null)),
    itemStyle: { color: ink.bad, borderColor: ink.card, borderWidth: 1.5 },
  });
  return timeOption(labels, series, ink, tick, false, shown);
}
