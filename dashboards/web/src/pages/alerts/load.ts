import { get, post } from '../../api/client';
import type { AlertDetail, AlertPage } from '../../api/schema';

interface Asked {
  signal: AbortSignal;
}
const PAGE = 50;
export interface AlertsView {
  state: 'firing' | 'resolved' | 'all';
  severity: string;
  rule: string;
}
export const alertsQuery = (view: AlertsView) => ({
  queryKey: ['alerts', 'list', view],
  queryFn: ({ signal, pageParam }: Asked & { pageParam: number | null }) =>
    get<AlertPage>('/api/alerts', { ...view, limit: PAGE, before: pageParam }, signal),
  initialPageParam: null as number | null,
  getNextPageParam: (last: AlertPage) => last.next ?? null,
});
export const alertQuery = (id: string) => ({
  queryKey: ['alert', id],
  queryFn: ({ signal }: Asked) =>
    get<AlertDetail>(`/api/alerts/${encodeURIComponent(id)}`, undefined, signal),
});
export const acknowledge = (id: string, note: string): Promise<unknown> =>
  post(`/api/alerts/${encodeURIComponent(id)}/ack`, { note });
