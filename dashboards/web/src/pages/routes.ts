// Address → page. Every page is its own chunk; what one never opens is never loaded.
import type { Component } from 'svelte';
import { pageWords } from '../lib/prefs.svelte';
import type { Permission } from '../lib/session.svelte';

type Loader = () => Promise<{ default: Component<{ name: string }> }>;
interface Page {
  station: string;
  /** Whether the address carries a name: `/tables/mart.orders`. */
  named: boolean;
  needs: Permission | null;
  load: Loader;
}
const first = (load: () => Promise<{ default: unknown }>): Loader => load as Loader;
/** A page whose words are loaded with it. */
const as = (load: () => Promise<{ default: unknown }>): Loader =>
  (async () => (await Promise.all([load(), pageWords()]))[0]) as Loader;
const PAGES: Page[] = [
  { station: '', named: false, needs: null, load: as(() => import('./home/Home.svelte')) },
  {
    station: 'dashboards',
    named: false,
    needs: 'ReadDashboards',
    load: first(() => import('./dashboards/Dashboards.svelte')),
  },
  {
    station: 'dashboards',
    named: true,
    needs: 'ReadDashboards',
    load: first(() => import('./dashboards/Dashboard.svelte')),
  },
  {
    station: 'metrics',
    named: false,
    needs: 'ReadMetrics',
    load: as(() => import('./metrics/Metrics.svelte')),
  },
  {
    station: 'metrics',
    named: true,
    needs: 'ReadMetrics',
    load: as(() => import('./metrics/Explore.svelte')),
  },
  { station: 'sql', named: false, needs: 'RunSql', load: as(() => import('./sql/Sql.svelte')) },
  { station: 'tables', named: false, needs: 'ReadTables', load: as(() => import('./tables/Tables.svelte')) },
  {
    station: 'tables',
    named: true,
    needs: 'ReadTables',
    load: as(() => import('./tables/TablePage.svelte')),
  },
  { station: 'alerts', named: false, needs: 'ReadAlerts', load: as(() => import('./alerts/Alerts.svelte')) },
  {
    station: 'alerts',
    named: true,
    needs: 'ReadAlerts',
    load: as(() => import('./alerts/AlertPage.svelte')),
  },
  { station: 'rules', named: false, needs: 'ReadRules', load: as(() => import('./rules/Rules.svelte')) },
  { station: 'rules', named: true, needs: 'ReadRules', load: as(() => import('./rules/RulePage.svelte')) },
  {
    station: 'sources',
    named: false,
    needs: 'ReadSources',
    load: as(() => import('./sources/Sources.svelte')),
  },
  {
    station: 'sources',
    named: true,
    needs: 'ReadSources',
    load: as(() => import('./sources/SourcePage.svelte')),
  },
  { station: 'access', named: false, needs: 'ReadAccess', load: as(() => import('./access/Access.svelte')) },
];
export function pageFor(parts: string[]): Page | undefined {
  const [station = '', name, ...rest] = parts;
  if (rest.length) return undefined;
  return PAGES.find((page) => page.station === station && page.named === (name !== undefined));
}
