// What a role sees first. Pure: permissions decide what, roles decide the order.
import type { Permission } from '../../lib/session.svelte';

export type Panel = 'alerts' | 'sources' | 'dashboards' | 'metrics' | 'queries' | 'project';
const NEEDS: Record<Panel, Permission> = {
  alerts: 'ReadAlerts',
  sources: 'ReadSources',
  dashboards: 'ReadDashboards',
  metrics: 'ReadMetrics',
  queries: 'RunSql',
  project: 'ReadStatus',
};
const ORDER: [string, Panel[]][] = [
  ['admin', ['alerts', 'sources', 'project', 'dashboards', 'queries']],
  ['ops', ['alerts', 'sources', 'project', 'dashboards']],
  ['analyst', ['queries', 'metrics', 'dashboards', 'sources', 'alerts']],
];
/** `dashboard`: this viewer's home is a dashboard, not a page of panels. */
export function panelsFor(roles: string[], can: (what: Permission) => boolean): Panel[] | 'dashboard' {
  const order = ORDER.find(([role]) => roles.includes(role))?.[1];
  if (!order) return 'dashboard';
  return order.filter((panel) => can(NEEDS[panel]));
}
