import { get, list, post } from '../../api/client';
import type { QuarantineEntry, ReleaseReport, Rows, SourceEntry, SourceRun } from '../../api/schema';
import { can } from '../../lib/session.svelte';

interface Asked {
  signal: AbortSignal;
}
const at = (path: string, name: string): string => `/api/${path}/${encodeURIComponent(name)}`;
export const sourcesQuery = () => ({
  queryKey: ['sources'],
  queryFn: ({ signal }: Asked) => list<SourceEntry>('/api/sources', 'sources', undefined, signal),
  enabled: can('ReadSources'),
});
export const runsQuery = (name: string) => ({
  queryKey: ['runs', name],
  queryFn: ({ signal }: Asked) => list<SourceRun>(`${at('sources', name)}/runs`, 'runs', undefined, signal),
});
export const quarantineQuery = () => ({
  queryKey: ['quarantine'],
  queryFn: ({ signal }: Asked) => list<QuarantineEntry>('/api/quarantine', 'tables', undefined, signal),
  enabled: can('ReadSources'),
});
export const quarantinedQuery = (table: string) => ({
  queryKey: ['quarantine', table],
  queryFn: ({ signal }: Asked) => get<Rows>(at('quarantine', table), undefined, signal),
});
export const sync = (name: string): Promise<unknown> => post(`${at('sources', name)}/sync`, {});
export const release = (table: string): Promise<ReleaseReport> =>
  post<ReleaseReport>(`${at('quarantine', table)}/release`, {});
