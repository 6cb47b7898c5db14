import { keepPreviousData } from '@tanstack/svelte-query';
import { get, list, post } from '../../api/client';
import type { DimensionValues, Metric, MetricAnswer, MetricAsk } from '../../api/schema';
import { can } from '../../lib/session.svelte';

interface Asked {
  signal: AbortSignal;
}
export const metricsQuery = () => ({
  queryKey: ['metrics'],
  queryFn: ({ signal }: Asked) => list<Metric>('/api/metrics', 'metrics', undefined, signal),
  enabled: can('ReadMetrics'),
});
export const answerQuery = (ask: MetricAsk | null) => ({
  queryKey: ['metric-answer', ask],
  queryFn: ({ signal }: Asked) => post<MetricAnswer>('/api/metrics/query', ask, signal),
  enabled: ask !== null,
  placeholderData: keepPreviousData,
});
export const dimensionValues = (dimension: string, metric: string): Promise<DimensionValues> =>
  get<DimensionValues>(`/api/dimensions/${encodeURIComponent(dimension)}/values`, { metric });
