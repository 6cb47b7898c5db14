// A metric's answer as the charts want it. Pure.
import type { Bar, LineSeries, MetricAnswer } from '../../api/schema';

export function toSeries(answer: MetricAnswer): LineSeries[] {
  const series = new Map<string | null, LineSeries>();
  for (const row of answer.rows) {
    if (row.time === null) continue;
    const key = row.by[0] ?? null;
    const one = series.get(key) ?? { key, total: null, points: [] };
    one.points.push({ t: row.time, v: row.value, prev: row.previous, partial: row.partial });
    series.set(key, one);
  }
  return [...series.values()];
}
export const toBars = (answer: MetricAnswer): Bar[] =>
  answer.rows.map((row) => ({ key: row.by[0] ?? null, value: row.value, previous: row.previous }));
