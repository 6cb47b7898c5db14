// Rows of the API (columns as names or as objects) for the plain table.
import type { Cell, Rows } from '../api/schema';

export function toTable(data: Rows): {
  columns: { name: string; title: string; numeric: boolean }[];
  rows: Cell[][];
} {
  const columns = data.columns.map((column, i) => {
    const name = typeof column === 'string' ? column : column.name;
    // Decimals travel as text so that no digit is lost; their type still says number.
    const typed = typeof column !== 'string' && /^(U?Int|Float|Decimal)/.test(column.type);
    const numeric =
      typed ||
      (data.rows.some((row) => typeof row[i] === 'number') &&
        data.rows.every((row) => row[i] === null || typeof row[i] === 'number'));
    return { name: `${i}:${name}`, title: name, numeric };
  });
  return { columns, rows: data.rows };
}
