import { keepPreviousData } from '@tanstack/svelte-query';
import { get, list, post } from '../../api/client';
import type { Metric, MetricAnswer, MetricAsk } from '../../api/schema';
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
export async function dimensionValues(dimension: string, metric: string): Promise<(string | null)[]> {
  const answer = await get<{ values: (string | null)[] }>(
    `/api/dimensions/${encodeURIComponent(dimension)}/values`,
    { metric },
  );
  return answer.values;
}
