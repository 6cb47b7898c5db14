import { get, list, post } from '../../api/client';
import type { BuildReport, TableDetail, TableInfo } from '../../api/schema';
import { can } from '../../lib/session.svelte';

interface Asked {
  signal: AbortSignal;
}
export const tablesQuery = () => ({
  queryKey: ['tables'],
  queryFn: ({ signal }: Asked) => list<TableInfo>('/api/tables', 'tables', undefined, signal),
  enabled: can('ReadTables'),
});
export const tableQuery = (name: string) => ({
  queryKey: ['table', name],
  queryFn: ({ signal }: Asked) =>
    get<TableDetail>(`/api/tables/${encodeURIComponent(name)}`, { sample: 50 }, signal),
});
/** Computes every row of a mart table again. */
export const rebuild = (model: string): Promise<BuildReport> =>
  post<BuildReport>(`/api/models/${encodeURIComponent(model)}/build`, { full: true });
