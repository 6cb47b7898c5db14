// An Arrow answer as the grid wants it. The decoder is in this page's own chunk.
import { tableFromIPC } from '@uwdata/flechette';
import { cellText, shownText } from '../../lib/cells';
import { isNumeric, kindOf, type CellType, type Known } from '../../lib/types';

export interface Result {
  columns: { name: string; known: Known | null; numeric: boolean }[];
  /** How many are shown; `more`: the query has others. */
  rows: number;
  more: boolean;
  cell: (column: number, row: number) => string;
  /** For the clipboard: digits not grouped. */
  raw: (column: number, row: number) => string;
}
/** Columns of few values come as a dictionary of them. */
type Decoded = CellType & { dictionary?: CellType };
const DICTIONARY = -1;
const UNKNOWN: CellType = { typeId: 0 };

/** At most `limit` rows. Throws when the bytes end early: a query that failed half-way breaks its stream off. */
export function decode(bytes: Uint8Array, limit: number, zone: string): Result {
  const table = tableFromIPC(bytes, { useBigInt: true, useDecimalInt: true });
  const types = table.schema.fields.map((field): CellType => {
    const type = field.type as Decoded;
    return (type.typeId === DICTIONARY ? type.dictionary : type) ?? UNKNOWN;
  });
  const at = (column: number, row: number): unknown => table.getChildAt(column).at(row);
  return {
    columns: table.schema.fields.map((field, i) => {
      const known = kindOf(types[i] ?? UNKNOWN);
      return { name: field.name, known, numeric: isNumeric(known) };
    }),
    rows: Math.min(table.numRows, limit),
    more: table.numRows > limit,
    cell: (column, row) => shownText(at(column, row), types[column] ?? UNKNOWN, zone),
    raw: (column, row) => cellText(at(column, row), types[column] ?? UNKNOWN, zone),
  };
}
/** Tab-separated with headers, as spreadsheets paste it. */
export function toText(result: Result, limit: number): string {
  const clean = (text: string): string => text.replace(/[\t\r\n]+/g, ' ');
  const lines = [result.columns.map((column) => clean(column.name)).join('\t')];
  for (let r = 0; r < Math.min(result.rows, limit); r += 1) {
    lines.push(result.columns.map((_, c) => clean(result.raw(c, r))).join('\t'));
  }
  return lines.join('\n');
}
