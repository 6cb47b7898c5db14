import { expect, it } from 'vitest';
import { isNumeric, kindNamed, kindOf, typeWords } from './types';
import { translator } from './words';
import { en as first } from './words/en';
import { enPages } from './words/en.pages';
import { zh as zhFirst } from './words/zh';
import { zhPages } from './words/zh.pages';

const en = translator({ ...first, ...enPages });
const zh = translator({ ...zhFirst, ...zhPages });
it('names types as people do, in both languages', () => {
  const told = [
    'Utf8',
    'Utf8View',
    'Int64',
    'Decimal128(18, 2)',
    'Date32',
    'Boolean',
    'Timestamp(µs, "UTC")',
  ];
  expect(told.map((type) => typeWords(type, en))).toEqual([
    'text',
    'text',
    'integer',
    'decimal(18, 2)',
    'date',
    'yes/no',
    'time',
  ]);
  expect(told.map((type) => typeWords(type, zh))).toEqual([
    '文本',
    '文本',
    '整数',
    '小数(18, 2)',
    '日期',
    '是/否',
    '时间',
  ]);
});
it('tells a moment from a time without a zone', () => {
  expect(kindNamed('Timestamp(µs)')?.kind).toBe('local');
  expect(kindNamed('Timestamp(Microsecond, None)')?.kind).toBe('local');
  expect(kindNamed('Timestamp(Microsecond, Some("UTC"))')?.kind).toBe('instant');
  expect(kindOf({ typeId: 10, timezone: 'UTC' })?.kind).toBe('instant');
  expect(kindOf({ typeId: 10, timezone: null })?.kind).toBe('local');
});
it('sees through dictionaries and leaves unknown types as they are', () => {
  expect(typeWords('Dictionary(Int32, Utf8)', en)).toBe('text');
  expect(typeWords('List(Utf8)', en)).toBe('list');
  expect(typeWords('varchar(20)', en)).toBe('varchar(20)');
  expect(isNumeric(kindNamed('varchar(20)'))).toBe(false);
  expect(isNumeric(kindOf({ typeId: 7, precision: 18, scale: 2 }))).toBe(true);
});
