// What a column holds, in words people know. The catalogue names Arrow types; a result carries their numbers.
import type { Key, Translate } from './words';

/** `instant`: a moment, told on the site's clock. `local`: a date and time that belong to no zone. */
export type Kind =
  | 'text'
  | 'integer'
  | 'number'
  | 'decimal'
  | 'bool'
  | 'date'
  | 'instant'
  | 'local'
  | 'clock'
  | 'length'
  | 'binary'
  | 'list'
  | 'record'
  | 'nothing';
/** An Arrow type as the decoder tells it. */
export interface CellType {
  typeId: number;
  scale?: number;
  precision?: number;
  unit?: number;
  timezone?: string | null;
}
/** `detail`: digits of a decimal, `(18, 2)`. */
export interface Known {
  kind: Kind;
  detail: string;
}

const NUMBERED: Record<number, Kind> = {
  1: 'nothing',
  2: 'integer',
  3: 'number',
  4: 'binary',
  5: 'text',
  6: 'bool',
  7: 'decimal',
  8: 'date',
  9: 'clock',
  11: 'length',
  12: 'list',
  13: 'record',
  15: 'binary',
  16: 'list',
  17: 'record',
  18: 'length',
  19: 'binary',
  20: 'text',
  21: 'list',
  23: 'binary',
  24: 'text',
  25: 'list',
  26: 'list',
};
const TIMESTAMP = 10;
const NAMED: [RegExp, Kind][] = [
  [/^(Large)?Utf8(View)?$/, 'text'],
  [/^U?Int\d+$/, 'integer'],
  [/^Float\d+$/, 'number'],
  [/^Decimal\d+\(/, 'decimal'],
  [/^Boolean$/, 'bool'],
  [/^Date\d+$/, 'date'],
  [/^Timestamp\([^,]+, (?!None)/, 'instant'],
  [/^Timestamp\(/, 'local'],
  [/^Time\d+\(/, 'clock'],
  [/^(Duration|Interval)\(/, 'length'],
  [/^(Large|FixedSize)?Binary/, 'binary'],
  [/^(Large|FixedSize)?List/, 'list'],
  [/^(Struct|Map)\(/, 'record'],
  [/^Null$/, 'nothing'],
];

export function kindOf(type: CellType): Known | null {
  if (type.typeId === TIMESTAMP) return { kind: type.timezone ? 'instant' : 'local', detail: '' };
  const kind = NUMBERED[type.typeId];
  if (!kind) return null;
  return { kind, detail: kind === 'decimal' ? `(${type.precision ?? '?'}, ${type.scale ?? 0})` : '' };
}
export function kindNamed(type: string): Known | null {
  const plain = /^Dictionary\(\w+, (.+)\)$/.exec(type)?.[1] ?? type;
  const kind = NAMED.find(([pattern]) => pattern.test(plain))?.[1];
  return kind ? { kind, detail: kind === 'decimal' ? plain.slice(plain.indexOf('(')) : '' } : null;
}
export const isNumeric = (known: Known | null): boolean =>
  known !== null && ['integer', 'number', 'decimal'].includes(known.kind);

export const kindWords = (known: Known, t: Translate): string =>
  t(`type.${known.kind}` as Key) + known.detail;
/** A type that has no words here, such as one of a foreign database, is told as it is. */
export function typeWords(type: string, t: Translate): string {
  const known = kindNamed(type);
  return known ? kindWords(known, t) : type;
}
