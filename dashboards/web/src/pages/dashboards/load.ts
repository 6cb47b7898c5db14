import { keepPreviousData, type QueryClient } from '@tanstack/svelte-query';
import { get, post } from '../../api/client';
import type { Dashboard, DashboardAnswer, DashboardAsk, DimensionValues } from '../../api/schema';
import { serverTime } from '../../lib/live.svelte';

export const dashboardQuery = (name: string) => ({
  queryKey: ['dashboard', name],
  queryFn: ({ signal }: { signal: AbortSignal }) =>
    get<Dashboard>(`/api/dashboards/${encodeURIComponent(name)}`, undefined, signal),
});

/** An answer with what was asked, so that old numbers keep their old labels until new ones are here. */
export interface Asked extends DashboardAnswer {
  compare: DashboardAsk['compare'];
}
async function ask(name: string, body: DashboardAsk, signal?: AbortSignal): Promise<Asked> {
  const answer = await post<DashboardAnswer>(
    `/api/dashboards/${encodeURIComponent(name)}/data`,
    body,
    signal,
  );
  serverTime(answer.now);
  return { ...answer, compare: body.compare };
}
const keyOf = (name: string, body: DashboardAsk): unknown[] => ['dashboard-data', name, body];

/** All tiles in one question, answered per tile. Leaving the page aborts it, which cancels the queries. */
export const dataQuery = (name: string, body: DashboardAsk | null) => ({
  queryKey: body ? keyOf(name, body) : ['dashboard-data', name],
  queryFn: ({ signal }: { signal: AbortSignal }) => {
    if (!body) throw new Error('asked before the dashboard is known');
    return ask(name, body, signal);
  },
  enabled: body !== null,
  placeholderData: keepPreviousData,
});

/** Asks again for some tiles only and puts their answers among the others. */
export async function refreshTiles(
  client: QueryClient,
  name: string,
  body: DashboardAsk,
  tiles: string[],
): Promise<void> {
  const fresh = await ask(name, { ...body, tiles });
  client.setQueryData<Asked>(keyOf(name, body), (old) =>
    old ? { ...fresh, tiles: { ...old.tiles, ...fresh.tiles } } : undefined,
  );
}

/** Known values of a dimension, for the filter panel. */
export const dimensionValues = (dimension: string, metric: string | undefined): Promise<DimensionValues> =>
  get<DimensionValues>(`/api/dimensions/${encodeURIComponent(dimension)}/values`, { metric });
