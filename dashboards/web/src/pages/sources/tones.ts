import type { SourceEntry } from '../../api/schema';

type Tone = 'plain' | 'good' | 'warn' | 'bad';
export const sourceTone = (state: SourceEntry['state']): Tone => ({ ok: 'good', late: 'warn', failed: 'bad', never: 'plain' } as const)[state] ?? 'plain';
export function outcomeTone(outcome: string): Tone {
  if (['ok', 'done', 'succeeded'].includes(outcome)) return 'good';
  return ['failed', 'error'].includes(outcome) ? 'bad' : 'warn';
}
