// Lines of one metric: a series per value, the period before dashed, the unfinished bucket dashed.
import type { LineSeries } from '../api/schema';
import { firstColour, type ChartInk, type Palette } from '../lib/colour';
import { timeOption, type ChartOption, type Series } from './timeOption';

/** More lines than this cannot be told apart; the smaller ones become "other" (given by the server's order). */
export const MAX_LINES = 5;

/** With more lines the dashed ones are only noise; tooltip and table still tell them. */
export const MAX_COMPARED = 2;

export interface Line {
  name: string;
  colour: string;
  values: (number | null)[];
  before: (number | null)[] | null;
  partial: boolean[];
}
export interface Lines {
  times: string[];
  lines: Line[];
  /** How many missing buckets in a row are bridged. */
  gap?: number;
}

/** Aligns series on the union of their buckets; a bucket that a series lacks is null, never zero. */
export function align(
  series: LineSeries[],
  palette: Palette,
  dark: boolean,
  only: string,
  rest = 'other',
  called: (one: LineSeries) => string | null = (one) => one.key,
): Lines {
  const shown = series.slice(0, MAX_LINES + (series[MAX_LINES]?.other ? 1 : 0));
  const times = [...new Set(shown.flatMap((one) => one.points.map((p) => p.t)))].sort();
  const place = new Map(times.map((t, i) => [t, i]));
  const lines = shown.map((one): Line => {
    const values: (number | null)[] = times.map(() => null);
    const before: (number | null)[] = times.map(() => null);
    const partial = times.map(() => false);
    for (const point of one.points) {
      const i = place.get(point.t) ?? 0;
      values[i] = point.v;
      before[i] = point.prev ?? null;
      partial[i] = point.partial ?? false;
    }
    const name = one.other ? rest : (called(one) ?? only);
    // A line that is not split has no value of a dimension to take its colour from.
    const colour =
      one.key === null && shown.length === 1
        ? firstColour(dark)
        : palette.colour(one.other ? rest : (one.key ?? name), dark);
    return { name, colour, values, before: before.some((v) => v !== null) ? before : null, partial };
  });
  return { times, lines };
}

/** The dashed tail: unfinished buckets and the one before, so that the line does not break. */
export function tail(line: Line): (number | null)[] {
  return line.values.map((v, i) => (line.partial[i] || line.partial[i + 1] ? v : null));
}

/** A weekend and a holiday beside it: working-day series would fall to pieces. What is missing longer stays open. */
export const SHORT_GAP_DAYS = 3;

/** Straight over each short gap, nothing elsewhere. It is drawn thin and dotted: nobody measured it. */
export function bridges(values: (number | null)[], gap: number): (number | null)[] {
  const made: (number | null)[] = values.map(() => null);
  let last = -1;
  values.forEach((v, i) => {
    if (v === null) return;
    const before = values[last] ?? null;
    if (before !== null && i - last > 1 && i - last - 1 <= gap)
      for (let n = last; n <= i; n += 1) made[n] = before + ((v - before) * (n - last)) / (i - last);
    last = i;
  });
  return made;
}

/** Shares that all lie high are told apart only on a scale of their own; amounts are measured from nothing. */
export function fromZero(lines: Line[], share: boolean): boolean {
  const seen = lines.flatMap((line) => [...line.values, ...(line.before ?? [])]).filter((v) => v !== null);
  if (!share || seen.length === 0) return true;
  const low = Math.min(...seen);
  return low < Math.max(...seen) / 2;
}

export function lineOption(
  { lines, gap = 0 }: Lines,
  labels: string[],
  ink: ChartInk,
  tick: (n: number) => string,
  compare: boolean,
  shown?: (i: number) => boolean,
  share = false,
): ChartOption {
  const series: Series[] = [];
  const few = labels.length < 3;
  for (const line of lines) {
    const base = {
      type: 'line' as const,
      silent: true,
      connectNulls: false,
      symbol: 'circle',
      symbolSize: 5,
      showSymbol: few,
    };
    if (compare && line.before && lines.length <= MAX_COMPARED) {
      series.push({
        ...base,
        name: `${line.name} ·`,
        data: line.before,
        showSymbol: false,
        lineStyle: { color: line.colour, width: 1.5, type: 'dashed', opacity: 0.5 },
      });
    }
    const whole = line.values.map((v, i) => (line.partial[i] ? null : v));
    const area =
      lines.length === 1 ? { areaStyle: { color: line.colour, opacity: ink.dark ? 0.14 : 0.09 } } : {};
    series.push({
      ...base,
      ...area,
      name: line.name,
      data: whole,
      itemStyle: { color: line.colour },
      lineStyle: { color: line.colour, width: 2 },
    });
    const bridge = bridges(whole, gap);
    if (bridge.some((v) => v !== null)) {
      series.push({
        ...base,
        name: `${line.name} ⋯`,
        data: bridge,
        showSymbol: false,
        lineStyle: { color: line.colour, width: 1, type: 'dotted' },
      });
    }
    if (line.partial.some(Boolean)) {
      series.push({
        ...base,
        name: `${line.name} …`,
        data: tail(line),
        itemStyle: { color: line.colour },
        lineStyle: { color: line.colour, width: 2, type: [4, 3] },
      });
    }
  }
  const option = timeOption(labels, series, ink, tick, fromZero(lines, share), shown);
  const top = Math.max(...lines.flatMap((line) => line.values.map((v) => v ?? 0)));
  // No share is more than the whole, so neither is its axis.
  return share && top <= 1 && top > 0.8 ? { ...option, yAxis: { ...option.yAxis, max: 1 } } : option;
}
