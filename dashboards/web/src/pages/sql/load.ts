import { list, send, remove } from '../../api/client';
import type { SqlHistoryEntry } from '../../api/schema';

export const historyQuery = () => ({
  queryKey: ['sql-history'],
  queryFn: ({ signal }: { signal: AbortSignal }) =>
    list<SqlHistoryEntry>('/api/sql/history', 'queries', undefined, signal),
});

export interface Running {
  signal: AbortSignal;
  /** The server's id, as soon as it is known: cancelling by id also works when the connection hangs. */
  started: (id: string | null) => void;
  received: (bytes: number) => void;
}
/** The first `limit` rows as Arrow IPC bytes; they can be large, so progress is told as they arrive. */
export async function stream(sql: string, limit: number, running: Running): Promise<Uint8Array> {
  const response = await send('POST', '/api/sql/stream', { body: { sql, limit }, signal: running.signal });
  running.started(response.headers.get('x-query-id'));
  if (!response.body) return new Uint8Array(await response.arrayBuffer());
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.length;
    running.received(size);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
export async function cancel(id: string): Promise<void> {
  // A query that has just ended is no longer there to cancel: that is fine.
  await remove(`/api/sql/${encodeURIComponent(id)}`).catch(() => undefined);
}
export async function csv(sql: string, signal: AbortSignal): Promise<{ blob: Blob; name: string }> {
  const response = await send('POST', '/api/sql/csv', { body: { sql }, signal });
  const name = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1];
  return { blob: await response.blob(), name: name ?? 'guanlan.csv' };
}
