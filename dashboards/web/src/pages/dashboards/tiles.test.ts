import { expect, it } from 'vitest';
import type { DashboardAnswer, Tile } from '../../api/schema';
import { dimensionsOf, phoneOrder, tilesBehind, widths } from './tiles';

const tile = (kind: Tile['kind'], width: number | null = null): Tile => ({
  kind,
  id: 'x',
  title: null,
  width,
});
it('shares what is left of a row', () => {
  expect(widths([tile('kpi'), tile('kpi'), tile('kpi'), tile('kpi')])).toEqual([3, 3, 3, 3]);
  expect(widths([tile('line', 8), tile('bar')])).toEqual([8, 4]);
  expect(widths([tile('line', 12), tile('bar')])).toEqual([12, 2]);
});
it('puts KPIs first on a phone', () => {
  expect(phoneOrder([tile('line'), tile('kpi')])).toEqual([1, 0]);
});
it('refreshes what reads the table, and what failed', () => {
  const ok = (name: string): DashboardAnswer['tiles'][string] => ({
    ok: true,
    as_of: null,
    query_id: 'q',
    cached: false,
    tables: [{ name, version: 1 }],
  });
  const answer = {
    tiles: { a: ok('mart.orders'), b: ok('mart.staff'), c: { ok: false, code: 'timeout', detail: '' } },
  } as unknown as DashboardAnswer;
  expect(tilesBehind(answer, 'mart.orders')).toEqual(['a', 'c']);
  expect(tilesBehind(undefined, 'mart.orders')).toEqual([]);
});
it('reads one dimension or several', () => {
  expect(dimensionsOf({ ...tile('bar'), by: 'region' })).toEqual(['region']);
  expect(dimensionsOf({ ...tile('bar'), by: ['a', 'b'] })).toEqual(['a', 'b']);
  expect(dimensionsOf(tile('bar'))).toEqual([]);
});
