// A metric's answer as the charts want it. Pure.
import type { Bar, LineSeries, MetricAnswer, Titles } from '../../api/schema';

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
export function toBars(answer: MetricAnswer, titles: Titles = {}): Bar[] {
  return answer.rows.map((row) => {
    const key = row.by[0] ?? null;
    const title = key === null ? undefined : titles[key];
    return { key, value: row.value, previous: row.previous, ...(title ? { title } : {}) };
  });
}
