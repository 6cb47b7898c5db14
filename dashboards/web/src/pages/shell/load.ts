import type { QueryClient } from '@tanstack/svelte-query';
import { ApiError, get, list, post, remove, useCsrf, whenReached, whenSignedOut } from '../../api/client';
import { listen } from '../../api/events';
import type { AlertPage, DashboardEntry, Project, Session } from '../../api/schema';
import { emit } from '../../lib/bus';
import { note, serverTime, setLink, setReached } from '../../lib/live.svelte';
import { say, setZone, suggestLocale, t } from '../../lib/prefs.svelte';
import { go } from '../../lib/router.svelte';
import { can, signedIn, signedOut } from '../../lib/session.svelte';

async function enter(who: Session): Promise<void> {
  useCsrf(who.csrf);
  setZone(who.site.timezone);
  await suggestLocale(who.locale ?? who.site.locale);
  serverTime(who.now, who.demo?.speed ?? 1);
  signedIn(who);
}
/** Finds out whether someone is signed in already. Throws when the server cannot be reached. */
export async function restore(client: QueryClient): Promise<void> {
  whenReached(setReached);
  whenSignedOut(() => {
    signedOut(true);
    client.clear();
  });
  try {
    await enter(await get<Session>('/api/session'));
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    // A session that ended is told; a first visit has had none.
    signedOut(true);
  }
}
export async function login(user: string, password: string): Promise<void> {
  const who = await post<Partial<Session>>('/api/session', { user, password });
  await enter(who.csrf && who.permissions ? (who as Session) : await get<Session>('/api/session'));
}
export async function logout(client: QueryClient): Promise<void> {
  await remove('/api/session');
  signedOut(false);
  client.clear();
  // The next one to sign in may not open what this one left.
  go('/', { replace: true });
}

export const dashboardsQuery = () => ({
  queryKey: ['dashboards'],
  queryFn: ({ signal }: { signal: AbortSignal }) =>
    list<DashboardEntry>('/api/dashboards', 'dashboards', undefined, signal),
  enabled: can('ReadDashboards'),
});
export const firingQuery = () => ({
  queryKey: ['alerts', 'firing', 'count'],
  queryFn: ({ signal }: { signal: AbortSignal }) =>
    get<AlertPage>('/api/alerts', { state: 'firing', limit: 50 }, signal),
  enabled: can('ReadAlerts'),
});
export const projectQuery = () => ({
  queryKey: ['project'],
  queryFn: ({ signal }: { signal: AbortSignal }) => get<Project>('/api/project', undefined, signal),
  enabled: can('ReadStatus'),
});

/** What a change on the server makes out of date here. Dashboards look after their own tiles. */
const TOUCHED: Record<string, string[]> = {
  table: ['tables', 'table', 'metric-answer'],
  alert: ['alerts', 'alert', 'rules', 'rule'],
  delivery: ['alert', 'channels'],
  job: ['sources', 'runs', 'quarantine'],
  project: ['project', 'dashboards', 'dashboard', 'dashboard-data', 'metrics', 'rules', 'rule', 'sources'],
};
const JITTER_MS = 400;

/** Keeps the browser's cache in step with the server; a burst of changes asks each question once. */
export function follow(client: QueryClient): () => void {
  let due = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = (): void => {
    const now = due;
    due = new Set();
    timer = undefined;
    void client.invalidateQueries({ predicate: (query) => now.has(String(query.queryKey[0])) });
  };
  const stop = listen({
    link: setLink,
    event: (event) => {
      emit(event);
      if (event.kind === 'resync') {
        void client.invalidateQueries();
        return;
      }
      if (event.kind === 'demo') serverTime(event.data['now'] as string | undefined);
      if (event.kind === 'alert' && event.data['state'] === 'firing') {
        const summary = say(
          event.data['summary'] as { zh: string; en: string } | undefined,
          String(event.data['rule'] ?? ''),
        );
        note(t('alerts.fired', { summary }), 'bad', `/alerts/${String(event.data['id'])}`);
      }
      for (const key of TOUCHED[event.kind] ?? []) due.add(key);
      timer ??= setTimeout(flush, JITTER_MS + Math.random() * JITTER_MS);
    },
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}
