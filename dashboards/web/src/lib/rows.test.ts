import { expect, it } from 'vitest';
import { toTable } from './rows';

it('shows a sample by the types of the table: amounts grouped and to the right, times plain', () => {
  const table = toTable(
    {
      columns: ['number', 'amount', 'at', 'paid'],
      rows: [['SO1', '1234.50', '2026-11-10T00:59:49+08:00', true]],
    },
    [
      { name: 'number', type: 'Utf8' },
      { name: 'amount', type: 'Decimal128(18, 2)' },
      { name: 'at', type: 'Timestamp(µs, "UTC")' },
      { name: 'paid', type: 'Boolean' },
    ],
  );
  expect(table.columns.map((column) => column.numeric)).toEqual([false, true, false, false]);
  expect(table.rows).toEqual([['SO1', '1,234.50', '2026-11-10 00:59:49', true]]);
});
it('aligns numbers whose type nobody told, and leaves them as they are', () => {
  const table = toTable({
    columns: ['n', 'year'],
    rows: [
      [1.5, 2026],
      [null, 2027],
    ],
  });
  expect(table.columns.map((column) => column.numeric)).toEqual([true, true]);
  expect(table.rows[0]).toEqual([1.5, 2026]);
});
