import { get, list, post } from '../../api/client';
import type {
  QuarantineEntry,
  RetryReport,
  Rows,
  SourceEntry,
  SourceRun,
  SourceTest,
  StreamPreview,
} from '../../api/schema';
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
export const retry = (table: string): Promise<RetryReport> =>
  post<RetryReport>(`${at('quarantine', table)}/retry`, {});
export const discard = (table: string): Promise<{ discarded: number }> =>
  post<{ discarded: number }>(`${at('quarantine', table)}/discard`, {});
export const test = (name: string): Promise<SourceTest> =>
  post<SourceTest>(`${at('sources', name)}/test`, {});
const stream = (name: string, of: string): string => `${at('sources', name)}/${encodeURIComponent(of)}`;
export const preview = (name: string, of: string): Promise<StreamPreview> =>
  post<StreamPreview>(`${stream(name, of)}/preview`, {});
export const reset = (name: string, of: string): Promise<{ job: string }> =>
  post<{ job: string }>(`${stream(name, of)}/reset`, {});
