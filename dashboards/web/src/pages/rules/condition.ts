// A condition of a rule in words: `{above: {value: 100}}` → "above 100".
import type { Locale } from '../../api/schema';
import { span } from '../../lib/schedule';
import type { Key, Translate } from '../../lib/words';

interface Words {
  t: Translate;
  locale: Locale;
  /** A number in the unit of the metric. */
  number: (n: number) => string;
  percent: (share: number) => string;
}
type Inner = Record<string, unknown>;
const num = (v: unknown): number | null => (typeof v === 'number' ? v : null);

/** A condition that this page does not know yet is told as it stands in the file. */
export function conditionText(condition: unknown, words: Words): string {
  if (typeof condition !== 'object' || condition === null) return String(condition ?? '');
  const [kind, inner] = Object.entries(condition)[0] ?? [];
  const known = kind && typeof inner === 'object' && inner ? told(kind, inner as Inner, words) : null;
  return known ?? JSON.stringify(condition);
}

function told(kind: string, inner: Inner, words: Words): string | null {
  const { t, locale, number } = words;
  const shown = (key: string): string => number(num(inner[key]) ?? 0);
  const listed = (parts: (string | false)[]): string => parts.filter(Boolean).join(t('condition.comma'));
  switch (kind) {
    case 'above':
    case 'below':
      return t(`condition.${kind}`, { value: shown('value') });
    case 'outside':
      return t('condition.outside', { low: shown('low'), high: shown('high') });
    case 'change':
      return change(inner, words);
    case 'seasonal':
      return listed([
        t(`condition.seasonal.${String(inner['side'] ?? 'both')}` as Key, {
          season: t(`condition.season.${String(inner['season'])}` as Key),
          n: String(inner['deviations'] ?? 4),
        }),
        (num(inner['floor']) ?? 0) > 0 && t('condition.floor', { value: shown('floor') }),
        typeof inner['history'] === 'string' &&
          t('condition.history', { span: span(inner['history'], locale) }),
      ]);
    case 'stale':
      return listed([
        t('condition.stale', {
          table: String(inner['table']),
          span: span(String(inner['longer_than']), locale),
        }),
        typeof inner['at'] === 'string' && t('condition.at', { column: inner['at'] }),
        inner['working_hours'] === true && t('condition.workingHours'),
      ]);
    case 'rows':
      return t('condition.rows', { key: Array.isArray(inner['key']) ? inner['key'].join(', ') : '' });
    default:
      return null;
  }
}
function change(inner: Inner, { t, number, percent }: Words): string {
  const against = t(`condition.against.${String(inner['against'])}` as Key);
  const parts = (['up', 'down'] as const).flatMap((way) => {
    const share = num(inner[way]);
    return share === null ? [] : [t(`condition.${way}`, { share: percent(share) })];
  });
  const least = num(inner['min']) ?? 0;
  return (
    t('condition.change', { change: parts.join(t('condition.or')), against }) +
    (least > 0 ? t('condition.comma') + t('condition.min', { value: number(least) }) : '')
  );
}
