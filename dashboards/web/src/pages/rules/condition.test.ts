import { expect, it } from 'vitest';
import { conditionText } from './condition';

it('says a condition in one line', () => {
  expect(conditionText({ above: { value: 100 } })).toBe('above · value: 100');
  expect(conditionText({ rows: { sql: 'select 1', key: ['employee', 'day'], at: null } })).toBe(
    'rows · key: employee, day',
  );
  expect(conditionText('above 100')).toBe('above 100');
  expect(conditionText(null)).toBe('');
});
