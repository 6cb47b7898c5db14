import { expect, it } from 'vitest';
import { percent } from '../../lib/format';
import { translator, type Translate } from '../../lib/words';
import { en as first } from '../../lib/words/en';
import { enPages } from '../../lib/words/en.pages';
import { zh as zhFirst } from '../../lib/words/zh';
import { zhPages } from '../../lib/words/zh.pages';
import { conditionText } from './condition';

const words = (t: Translate, locale: 'zh' | 'en') => ({
  t,
  locale,
  number: String,
  percent: (share: number) => percent(share, locale),
});
const en = words(translator({ ...first, ...enPages }), 'en');
const zh = words(translator({ ...zhFirst, ...zhPages }), 'zh');

it('says limits', () => {
  expect(conditionText({ above: { value: 100 } }, en)).toBe('above 100');
  expect(conditionText({ below: { value: 0.5 } }, zh)).toBe('低于 0.5');
  expect(conditionText({ outside: { low: 1, high: 9 } }, en)).toBe('below 1 or above 9');
});
it('says a change with what it is measured against', () => {
  const slump = { change: { against: 'last_week', up: null, down: 0.5, min: 1000 } };
  expect(conditionText(slump, en)).toBe(
    'more than 50% less than a week before, earlier values below 1000 not counted',
  );
  expect(conditionText(slump, zh)).toBe('比上周下降超过 50%，低于 1000 的旧值不比较');
  expect(conditionText({ change: { against: 'previous', up: 0.3, down: 0.2, min: 0 } }, en)).toBe(
    'more than 30% more or more than 20% less than the period before',
  );
});
it('says what is usual, and what is not', () => {
  const seasonal = {
    season: 'workweek',
    deviations: 4,
    side: 'below',
    history: '35d',
    min_points: 4,
    floor: 15,
  };
  expect(conditionText({ seasonal }, en)).toBe(
    'more than 4 deviations below what is usual on days of the same kind, more than 15 away from the median, looking back 35 days',
  );
  expect(conditionText({ seasonal: { season: 'day', deviations: 6, side: 'both' } }, zh)).toBe(
    '偏离每天同一时段的常态超过 6 倍离散度',
  );
});
it('says how old a table may be, and what a row means', () => {
  const stale = { table: 'raw.crm_orders', longer_than: '3h', working_hours: true };
  expect(conditionText({ stale }, en)).toBe('no new data in raw.crm_orders for 3 hours, working hours only');
  expect(conditionText({ stale }, zh)).toBe('raw.crm_orders 超过 3 小时没有新数据，只算工作时间');
  const rows = { sql: 'select 1', key: ['employee', 'day'], at: null };
  expect(conditionText({ rows }, en)).toBe('the query returns a row; one alert for each employee, day');
});
it('tells what it does not know as it is', () => {
  expect(conditionText({ tides: { moon: 1 } }, en)).toBe('{"tides":{"moon":1}}');
  expect(conditionText('above 100', en)).toBe('above 100');
  expect(conditionText(null, en)).toBe('');
});
