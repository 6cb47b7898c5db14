// Rows of the API (columns as names or as objects) for the plain table.
import type { Cell, Column, Rows } from '../api/schema';
import { grouped, plainTime } from './cells';
import { isNumeric, kindNamed, type Known } from './types';

interface Table {
  columns: { name: string; title: string; numeric: boolean }[];
  rows: Cell[][];
}
/** `known`: columns whose types are told elsewhere, found by name. */
export function toTable(data: Rows, known: Column[] = []): Table {
  const types = data.columns.map((column): Known | null => {
    const typed = typeof column === 'string' ? known.find((one) => one.name === column) : column;
    return typed ? kindNamed(typed.type) : null;
  });
  const columns = data.columns.map((column, i) => {
    const name = typeof column === 'string' ? column : column.name;
    // Decimals travel as text so that no digit is lost; their type still says number.
    const numeric =
      isNumeric(types[i] ?? null) ||
      (data.rows.some((row) => typeof row[i] === 'number') &&
        data.rows.every((row) => row[i] === null || typeof row[i] === 'number'));
    return { name: `${i}:${name}`, title: name, numeric };
  });
  return { columns, rows: data.rows.map((row) => row.map((cell, i) => shown(cell, types[i] ?? null))) };
}
function shown(cell: Cell, type: Known | null): Cell {
  if (cell === null || typeof cell === 'boolean') return cell;
  switch (type?.kind) {
    case 'decimal':
    case 'number':
      return grouped(String(cell));
    case 'instant':
    case 'local':
      return plainTime(String(cell));
    default:
      return cell;
  }
}
