// Values of a query result as text: exact digits, instants in UTC as the database has them.
import { NOTHING } from './format';

/** The Arrow type ids that need care; the rest are numbers, text and booleans. */
export interface CellType {
  typeId: number;
  scale?: number;
  unit?: number;
  precision?: number;
}
const INT = 2;
const FLOAT = 3;
const DECIMAL = 7;
const DATE = 8;
const TIMESTAMP = 10;

export const isNumeric = (type: CellType): boolean => [INT, FLOAT, DECIMAL].includes(type.typeId);
export function typeName(type: CellType): string {
  const names: Record<number, string> = {
    2: 'int',
    3: 'float',
    4: 'binary',
    5: 'text',
    6: 'bool',
    7: 'decimal',
    8: 'date',
    9: 'time',
    10: 'timestamp',
    12: 'list',
    13: 'struct',
    18: 'duration',
    20: 'text',
    24: 'text',
  };
  return names[type.typeId] ?? '';
}
/** 12345n with scale 2 → 123.45; no digit passes through a float. */
export function decimal(scaled: bigint | number, scale: number): string {
  const text = String(scaled);
  if (scale <= 0) return text;
  const negative = text.startsWith('-');
  const digits = text.replace('-', '').padStart(scale + 1, '0');
  return `${negative ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
export function cellText(value: unknown, type: CellType): string {
  if (value === null || value === undefined) return NOTHING;
  switch (type.typeId) {
    case DECIMAL:
      return decimal(value as bigint | number, type.scale ?? 0);
    case DATE:
      return new Date(Number(value)).toISOString().slice(0, 10);
    case TIMESTAMP: {
      const text = new Date(Number(value)).toISOString();
      return text.replace('T', ' ').replace(/\.000Z$|Z$/, '');
    }
    default:
      break;
  }
  if (typeof value === 'object') {
    return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner));
  }
  return String(value);
}
