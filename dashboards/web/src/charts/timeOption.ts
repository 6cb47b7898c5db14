// What every chart over time shares: axes, grid, ink. Pure, so that tests can read the result.
import type { LineSeriesOption, ScatterSeriesOption } from 'echarts/charts';
import type { GridComponentOption } from 'echarts/components';
import type { ComposeOption } from 'echarts/core';
import type { ChartInk } from '../lib/colour';

export type ChartOption = ComposeOption<LineSeriesOption | ScatterSeriesOption | GridComponentOption>;
export type Series = LineSeriesOption | ScatterSeriesOption;

/** `shown`: which buckets may carry a label; else as many as fit. `labels`: one per bucket. Buckets are even, so a category axis is honest and knows the site's zone. */
export function timeOption(
  labels: string[],
  series: Series[],
  ink: ChartInk,
  tick: (n: number) => string,
  zero: boolean,
  shown?: (i: number) => boolean,
): ChartOption {
  return {
    animation: false,
    backgroundColor: 'transparent',
    textStyle: { fontFamily: ink.font, color: ink.muted, fontSize: 12 },
    aria: { enabled: false },
    grid: {
      left: 4,
      right: 12,
      top: 12,
      bottom: 4,
      outerBoundsMode: 'same',
      outerBoundsContain: 'axisLabel',
    },
    xAxis: {
      type: 'category',
      data: labels,
      boundaryGap: false,
      axisLine: { lineStyle: { color: ink.line } },
      axisTick: { show: false },
      axisLabel: {
        color: ink.muted,
        hideOverlap: true,
        alignMaxLabel: 'right',
        ...(shown ? { interval: shown } : {}),
        margin: 10,
      },
    },
    yAxis: {
      type: 'value',
      scale: !zero,
      splitNumber: 4,
      axisLabel: { color: ink.muted, formatter: tick },
      splitLine: { lineStyle: { color: ink.line } },
    },
    series,
  };
}
