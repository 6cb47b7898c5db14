import { get, list, post } from '../../api/client';
import type { AlertDetail, AlertPage, Channel, ChannelTest } from '../../api/schema';
import { can } from '../../lib/session.svelte';

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
export const resend = (id: string): Promise<unknown> =>
  post(`/api/deliveries/${encodeURIComponent(id)}/resend`, {});
export const channelsQuery = () => ({
  queryKey: ['channels'],
  queryFn: ({ signal }: Asked) => list<Channel>('/api/channels', 'channels', undefined, signal),
  enabled: can('ActOnAlerts'),
});
const channel = (name: string): string => `/api/channels/${encodeURIComponent(name)}`;
export const testChannel = (name: string): Promise<ChannelTest> =>
  post<ChannelTest>(`${channel(name)}/test`, {});
export const reopenChannel = (name: string): Promise<unknown> => post(`${channel(name)}/reopen`, {});
