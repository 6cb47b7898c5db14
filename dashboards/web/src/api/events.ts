// One event stream per browser, not per tab: HTTP/1.1 allows about six connections to a host. A lock elects
// the leader, BroadcastChannel shares what it hears. Without locks (plain http) every tab listens itself.
import type { EventKind, ServerEvent } from './schema';

export type Link = 'live' | 'connecting' | 'lost';
interface Listener {
  event: (event: ServerEvent) => void;
  link: (state: Link) => void;
}
type Shared = { event: ServerEvent } | { link: Link } | { hello: true };

const KINDS: EventKind[] = ['table', 'alert', 'job', 'project', 'demo', 'delivery', 'resync'];
/** After this long without a connection the viewer is told, and pages poll. */
const LOST_AFTER_MS = 60_000;

function parse(kind: EventKind, message: MessageEvent<string>): ServerEvent {
  let data: Record<string, unknown> = {};
  try {
    data = JSON.parse(message.data || '{}') as Record<string, unknown>;
  } catch {
    // An event that cannot be read still says that something of this kind changed.
  }
  return { kind, id: message.lastEventId, data };
}

/** Opens the stream in this tab. The browser reconnects and sends Last-Event-ID by itself. */
function open(tell: (message: Shared) => void): () => void {
  let lost: ReturnType<typeof setTimeout> | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource | undefined;
  let down = false;
  const connect = (): void => {
    source = new EventSource('/api/events');
    for (const kind of KINDS) {
      source.addEventListener(kind, (message) =>
        tell({ event: parse(kind, message as MessageEvent<string>) }),
      );
    }
    source.onopen = () => {
      clearTimeout(lost);
      lost = undefined;
      tell({ link: 'live' });
      // What happened while a fresh EventSource was unconnected is unknown: ask for everything anew.
      if (down) tell({ event: { kind: 'resync', id: '', data: {} } });
      down = false;
    };
    source.onerror = () => {
      tell({ link: 'connecting' });
      lost ??= setTimeout(() => tell({ link: 'lost' }), LOST_AFTER_MS);
      // The browser gives up for good after an HTTP error (a restarting proxy, say); try again ourselves.
      if (source?.readyState === EventSource.CLOSED) {
        down = true;
        clearTimeout(retry);
        retry = setTimeout(connect, 5_000);
      }
    };
  };
  connect();
  return () => {
    clearTimeout(lost);
    clearTimeout(retry);
    source?.close();
  };
}

/** Listens until the returned function is called. */
export function listen(to: Listener): () => void {
  const hear = (message: Shared): void => {
    if ('event' in message) to.event(message.event);
    else if ('link' in message) to.link(message.link);
  };
  if (!('locks' in navigator) || !('BroadcastChannel' in window)) return open(hear);

  const channel = new BroadcastChannel('guanlan-events');
  const stop = new AbortController();
  let close: (() => void) | undefined;
  let link: Link = 'connecting';
  channel.onmessage = (message: MessageEvent<Shared>) => {
    if ('hello' in message.data) {
      if (close) channel.postMessage({ link } satisfies Shared);
    } else hear(message.data);
  };
  channel.postMessage({ hello: true } satisfies Shared);
  const lead = (): Promise<void> =>
    new Promise((release) => {
      close = open((message) => {
        if ('link' in message) link = message.link;
        hear(message);
        channel.postMessage(message);
      });
      stop.signal.addEventListener('abort', () => release());
    });
  navigator.locks.request('guanlan-events', { signal: stop.signal }, lead).catch(() => undefined);
  return () => {
    stop.abort();
    close?.();
    channel.close();
  };
}
