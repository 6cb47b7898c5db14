// Where tiles stand and which of them a change concerns. Pure.
import type { DashboardAnswer, Tile, Titles } from '../../api/schema';

const COLUMNS = 12;
/** Widths in twelfths: as written, the rest of the row shared by those without. */
export function widths(row: Tile[]): number[] {
  const given = row.reduce((sum, tile) => sum + (tile.width ?? 0), 0);
  const open = row.filter((tile) => !tile.width).length;
  const share = open ? Math.max(2, Math.floor(Math.max(0, COLUMNS - given) / open)) : 0;
  return row.map((tile) => Math.min(COLUMNS, tile.width || share));
}
/** On a phone KPIs come first, whatever row they stand in. */
export function phoneOrder(row: Tile[]): number[] {
  return row.map((tile) => (tile.kind === 'kpi' ? 0 : 1));
}
/** Tiles that read a table, and failed ones: what they would read is unknown. */
export function tilesBehind(answer: DashboardAnswer | undefined, table: string): string[] {
  return Object.entries(answer?.tiles ?? {})
    .filter(([, tile]) => !tile.ok || tile.tables.some((one) => one.name === table))
    .map(([id]) => id);
}
export const dimensionsOf = (tile: Tile): string[] =>
  typeof tile.by === 'string' ? [tile.by] : (tile.by ?? []);
/** What values of a dimension are called, as far as tiles on screen say so. */
export function titlesIn(rows: Tile[][], answer: DashboardAnswer | undefined, dimension: string): Titles {
  const found: Titles = {};
  for (const tile of rows.flat()) {
    const told = answer?.tiles[tile.id];
    if (!told?.ok) continue;
    for (const column of told.table?.columns ?? [])
      if (column.name === dimension) Object.assign(found, column.titles);
    if (dimensionsOf(tile)[0] !== dimension) continue;
    for (const one of [...(told.bar?.bars ?? []), ...(told.line?.series ?? [])])
      if (one.key !== null && one.title) found[one.key] = one.title;
  }
  return found;
}
