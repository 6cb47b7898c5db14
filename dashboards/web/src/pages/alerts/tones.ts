// Colours of states and severities; the word always stands beside the colour.
import type { AlertState, Channel, Severity } from '../../api/schema';

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'accent';
export const severityTone = (severity: Severity): Tone =>
  (({ critical: 'bad', warning: 'warn', info: 'accent' }) as const)[severity] ?? 'plain';
export const stateTone = (state: AlertState): Tone =>
  (({ firing: 'bad', pending: 'warn', resolved: 'good' }) as const)[state] ?? 'plain';
export function deliveryTone(state: string): Tone {
  if (state === 'accepted' || state === 'delivered') return 'good';
  if (state === 'muted') return 'plain';
  return state === 'failed' || state === 'dead' ? 'bad' : 'warn';
}
export const channelTone = (state: Channel['state']): Tone =>
  (({ open: 'good', resting: 'warn', closed: 'bad' }) as const)[state] ?? 'plain';
