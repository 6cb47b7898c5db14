import type { BuildCost, Locale } from '../../api/schema';
import { bytes, count, elapsed, NOTHING, SEP } from '../../lib/format';
import type { Translate } from '../../lib/words';

/** What a build lately took: time, rows, size. Nothing is known before the first one. */
export function costText(cost: BuildCost | null | undefined, locale: Locale, t: Translate): string {
  if (!cost) return NOTHING;
  const rows = t('sql.rowsShort', { n: count(cost.rows, locale) });
  return [elapsed(cost.seconds * 1000, locale), rows, bytes(cost.bytes, locale)].join(SEP);
}
