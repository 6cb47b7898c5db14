// When a number counts as stale: its newest data lies further back than its grain explains.
import type { Grain } from '../api/schema';

const HOUR = 3_600_000;
const ALLOWED: Record<Grain, number> = {
  hour: 3 * HOUR,
  day: 36 * HOUR,
  week: 9 * 24 * HOUR,
  month: 35 * 24 * HOUR,
  quarter: 100 * 24 * HOUR,
  year: 370 * 24 * HOUR,
};
/** `rangeEnd`: a question about the past is not stale because it ends in the past. */
export function isStale(asOf: string | null, now: number, grain: Grain | null, rangeEnd: number): boolean {
  if (!asOf) return false;
  return Math.min(now, rangeEnd) - Date.parse(asOf) > ALLOWED[grain ?? 'day'];
}
