// Addresses are state: `route` follows the history, `go` changes it, plain links work by themselves.
export interface Route {
  path: string;
  search: string;
}
const here = (): Route => ({ path: location.pathname, search: location.search });
const state = $state<{ now: Route }>({
  now: typeof location === 'undefined' ? { path: '/', search: '' } : here(),
});

export const route = {
  get path(): string {
    return state.now.path;
  },
  get search(): string {
    return state.now.search;
  },
  /** `/tables/mart.orders` → ['tables', 'mart.orders'] */
  get parts(): string[] {
    return state.now.path.split('/').filter(Boolean).map(decodeURIComponent);
  },
};

/** Opens an address inside the app. `replace` for corrections that Back should not return to. */
export function go(to: string, options: { replace?: boolean; keepScroll?: boolean } = {}): void {
  const before = state.now.path;
  if (options.replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  state.now = here();
  if (!options.keepScroll && state.now.path !== before) scrollTo(0, 0);
}

/** Follows the browser's Back and Forward, and turns clicks on same-origin links into `go`. */
export function startRouter(): () => void {
  const pop = (): void => {
    state.now = here();
  };
  const click = (event: MouseEvent): void => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = (event.target as Element | null)?.closest('a');
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (link.pathname.startsWith('/api/') || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  };
  addEventListener('popstate', pop);
  document.addEventListener('click', click);
  return () => {
    removeEventListener('popstate', pop);
    document.removeEventListener('click', click);
  };
}
