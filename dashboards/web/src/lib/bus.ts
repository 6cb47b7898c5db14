// Server events inside this tab. Pages listen while they are on screen.
import type { EventKind, ServerEvent } from '../api/schema';

type Handler = (event: ServerEvent) => void;
const handlers = new Map<EventKind, Set<Handler>>();

/** Returns the function that ends the listening; use it as the cleanup of an effect. */
export function on(kinds: EventKind[], handler: Handler): () => void {
  for (const kind of kinds) {
    const known = handlers.get(kind) ?? new Set();
    handlers.set(kind, known.add(handler));
  }
  return () => {
    for (const kind of kinds) handlers.get(kind)?.delete(handler);
  };
}
export function emit(event: ServerEvent): void {
  for (const handler of handlers.get(event.kind) ?? []) handler(event);
}
