// The state of a dashboard or a metric in the address: short, readable, the same text for the same state.
import type { Compare, Grain } from '../api/schema';
import { isRange } from './range';

export interface View {
  /** null: the page's own default. */
  range: string | null;
  /** null: the page's own default; `none`: switched off by hand. */
  compare: Compare | 'none' | null;
  grain: Grain | null;
  /** Dimension → chosen values; `null` inside stands for rows without a value. */
  filters: Record<string, string[]>;
}
export const EMPTY_VIEW: View = { range: null, compare: null, grain: null, filters: {} };

const GRAINS: string[] = ['hour', 'day', 'week', 'month', 'quarter', 'year'];
/** Values are joined by commas; a comma or backslash inside one is escaped. */
const join = (values: string[]): string => values.map((v) => v.replace(/[\\,]/g, '\\$&')).join(',');
function split(text: string): string[] {
  const found: string[] = [];
  let value = '';
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (c === '\\' && i + 1 < text.length) {
      value += text[i + 1];
      i += 1;
    } else if (c === ',') {
      found.push(value);
      value = '';
    } else value += c;
  }
  found.push(value);
  return found;
}

export function encode(view: View): string {
  const search = new URLSearchParams();
  if (view.range) search.set('range', view.range);
  if (view.compare) search.set('compare', view.compare);
  if (view.grain) search.set('grain', view.grain);
  for (const dimension of Object.keys(view.filters).sort()) {
    const values = view.filters[dimension];
    if (values?.length) search.set(`f.${dimension}`, join(values));
  }
  // Colons, slashes, commas and Chinese are legal and legible in a query; keep them readable.
  const text = search.toString().replace(/%2F/g, '/').replace(/%2C/g, ',').replace(/%3A/g, ':');
  return text ? `?${text}` : '';
}
export function decode(search: string): View {
  const params = new URLSearchParams(search);
  const range = params.get('range');
  const compare = params.get('compare');
  const grain = params.get('grain');
  const filters: Record<string, string[]> = {};
  for (const [key, text] of params) {
    if (key.startsWith('f.') && key.length > 2 && text) filters[key.slice(2)] = split(text);
  }
  return {
    range: range && isRange(range) ? range : null,
    compare: compare === 'previous' || compare === 'last_year' || compare === 'none' ? compare : null,
    grain: grain && GRAINS.includes(grain) ? (grain as Grain) : null,
    filters,
  };
}
/** The view with one value of a dimension switched on or off. */
export function toggle(view: View, dimension: string, value: string): View {
  const before = view.filters[dimension] ?? [];
  const after = before.includes(value) ? before.filter((v) => v !== value) : [...before, value];
  return withFilter(view, dimension, after);
}
export function withFilter(view: View, dimension: string, values: string[]): View {
  const filters = { ...view.filters };
  if (values.length) filters[dimension] = values;
  else delete filters[dimension];
  return { ...view, filters };
}
