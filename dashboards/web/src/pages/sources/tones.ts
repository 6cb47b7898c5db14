import type { SourceEntry, SourceRun } from '../../api/schema';

type Tone = 'plain' | 'good' | 'warn' | 'bad';
const stateTone = (state: SourceEntry['state']): Tone =>
  (({ ok: 'good', late: 'warn', failed: 'bad', never: 'plain', set_aside: 'warn' }) as const)[state] ??
  'plain';
export function outcomeTone(outcome: string | null): Tone {
  if (outcome === null || outcome === 'running') return 'plain';
  if (['ok', 'done', 'succeeded'].includes(outcome)) return 'good';
  return outcome === 'failed' ? 'bad' : 'warn';
}
/** Cells of kept rows that are not as they were delivered. */
export const changedCells = (run: SourceRun): number =>
  (run.changed ?? []).reduce((sum, one) => sum + one.count, 0);
/** Green only when nothing was set aside or changed, also where the definition accepts that much. */
export function runTone(run: SourceRun): Tone {
  const tone = outcomeTone(run.outcome);
  return tone === 'good' && (run.rejected > 0 || changedCells(run) > 0) ? 'warn' : tone;
}
/** A source that is well but whose latest runs set rows aside is said to have done so. */
export function sourceState(source: SourceEntry): SourceEntry['state'] {
  const aside = source.streams.some((one) => (one.last_run?.rejected ?? 0) > 0);
  return source.state === 'ok' && aside ? 'set_aside' : source.state;
}
export const sourceTone = (source: SourceEntry): Tone => stateTone(sourceState(source));
