// The stations of the house, in the order of the rail. One list for rail, phone bar, palette and `g` keys.
import type { Permission } from './session.svelte';
import type { Key } from './words';

export interface Station {
  path: string;
  word: Key;
  needs: Permission | null;
  key: string;
}
export const STATIONS: Station[] = [
  { path: '/', word: 'nav.home', needs: null, key: 'h' },
  { path: '/dashboards', word: 'nav.dashboards', needs: 'ReadDashboards', key: 'd' },
  { path: '/metrics', word: 'nav.metrics', needs: 'ReadMetrics', key: 'm' },
  { path: '/sql', word: 'nav.sql', needs: 'RunSql', key: 's' },
  { path: '/tables', word: 'nav.tables', needs: 'ReadTables', key: 't' },
  { path: '/alerts', word: 'nav.alerts', needs: 'ReadAlerts', key: 'a' },
  { path: '/rules', word: 'nav.rules', needs: 'ReadRules', key: 'r' },
  { path: '/sources', word: 'nav.sources', needs: 'ReadSources', key: 'o' },
  { path: '/access', word: 'nav.access', needs: 'ReadAccess', key: 'u' },
];
export const isAt = (station: Station, path: string): boolean =>
  station.path === '/' ? path === '/' : path === station.path || path.startsWith(`${station.path}/`);
