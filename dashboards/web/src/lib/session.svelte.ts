// Who is looking and what they may do. Filled by pages/shell/load.ts, read everywhere.
import type { Session } from '../api/schema';

export type Permission =
  | 'ReadDashboards'
  | 'ReadMetrics'
  | 'RunSql'
  | 'ReadTables'
  | 'ReadSources'
  | 'ManageSources'
  | 'ReadAlerts'
  | 'ActOnAlerts'
  | 'ReadRules'
  | 'ReadAccess'
  | 'ManageAccess'
  | 'ReadSystem'
  | 'ReadStatus';

type Phase = 'unknown' | 'out' | 'in';
const state = $state<{ phase: Phase; session: Session | null; expired: boolean }>({
  phase: 'unknown',
  session: null,
  expired: false,
});
/** `ReadDashboards`, `read_dashboards` and `read-dashboards` are one permission. */
const plain = (name: string): string => name.toLowerCase().replace(/[^a-z]/g, '');
const granted = $derived(new Set((state.session?.permissions ?? []).map(plain)));

export const session = {
  get phase(): Phase {
    return state.phase;
  },
  get who(): Session | null {
    return state.session;
  },
  get expired(): boolean {
    return state.expired;
  },
};
/** Hides what would be refused; the server is the one that refuses. */
export function can(what: Permission): boolean {
  return granted.has(plain(what));
}
export function signedIn(who: Session): void {
  state.session = who;
  state.phase = 'in';
  state.expired = false;
}
export function signedOut(expired: boolean): void {
  state.expired = expired && state.phase === 'in';
  state.session = null;
  state.phase = 'out';
}
