// A condition as one line: `{seasonal: {season: day, deviations: 4}}` → "seasonal · season: day, deviations: 4".
export function conditionText(condition: unknown): string {
  if (typeof condition === 'string') return condition;
  if (typeof condition !== 'object' || condition === null) return '';
  return Object.entries(condition)
    .map(([kind, inner]) => {
      if (typeof inner !== 'object' || inner === null) return `${kind}: ${String(inner)}`;
      const known = Object.entries(inner).filter(
        ([key, v]) => v !== null && v !== undefined && key !== 'sql',
      );
      return [
        kind,
        known.map(([key, v]) => `${key}: ${Array.isArray(v) ? v.join(', ') : String(v)}`).join(', '),
      ]
        .filter(Boolean)
        .join(' · ');
    })
    .join('; ');
}
