// Who is looking and what they may do. Filled by pages/shell/load.ts, read everywhere.
import type { Session } from '../api/schema';
import { remember, remembered } from './storage';

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

/** Someone is signed in in this browser: a fresh page tells a session that ended from none. */
const IN = 'guanlan.in';
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
  remember(IN, '1');
}
/** `expired`: nobody asked for it. Several requests may be refused at once; it is told until the next sign-in. */
export function signedOut(expired: boolean): void {
  state.expired = expired && (state.expired || state.phase === 'in' || remembered(IN) !== null);
  remember(IN, null);
  state.session = null;
  state.phase = 'out';
}
