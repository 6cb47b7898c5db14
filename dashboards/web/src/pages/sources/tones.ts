import type { SourceEntry } from '../../api/schema';

type Tone = 'plain' | 'good' | 'warn' | 'bad';
export const sourceTone = (state: SourceEntry['state']): Tone =>
  (({ ok: 'good', late: 'warn', failed: 'bad', never: 'plain' }) as const)[state] ?? 'plain';
export function outcomeTone(outcome: string | null): Tone {
  if (outcome === null || outcome === 'running') return 'plain';
  if (['ok', 'done', 'succeeded'].includes(outcome)) return 'good';
  return outcome === 'failed' ? 'bad' : 'warn';
}
