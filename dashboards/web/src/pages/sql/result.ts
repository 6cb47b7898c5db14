// An Arrow answer as the grid wants it. The decoder is in this page's own chunk.
import { tableFromIPC } from '@uwdata/flechette';
import { cellText, isNumeric, typeName, type CellType } from '../../lib/cells';

export interface Result {
  columns: { name: string; type: string; numeric: boolean }[];
  rows: number;
  cell: (column: number, row: number) => string;
}
/** Throws when the bytes end early: a query that failed half-way breaks its stream off. */
export function decode(bytes: Uint8Array): Result {
  const table = tableFromIPC(bytes, { useBigInt: true, useDecimalInt: true });
  const types = table.schema.fields.map((field) => field.type as CellType);
  return {
    columns: table.schema.fields.map((field, i) => {
      const type = types[i] ?? { typeId: 0 };
      return { name: field.name, type: typeName(type), numeric: isNumeric(type) };
    }),
    rows: table.numRows,
    cell: (column, row) => cellText(table.getChildAt(column).at(row), types[column] ?? { typeId: 0 }),
  };
}
/** Tab-separated with headers, as spreadsheets paste it. */
export function toText(result: Result, limit: number): string {
  const clean = (text: string): string => text.replace(/[\t\r\n]+/g, ' ');
  const lines = [result.columns.map((column) => clean(column.name)).join('\t')];
  for (let r = 0; r < Math.min(result.rows, limit); r += 1) {
    lines.push(result.columns.map((_, c) => clean(result.cell(c, r))).join('\t'));
  }
  return lines.join('\n');
}
