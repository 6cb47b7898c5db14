import { expect, it } from 'vitest';
import { schedule, span } from './schedule';
import { translator } from './words';
import { en as first } from './words/en';
import { enPages } from './words/en.pages';
import { zh as zhFirst } from './words/zh';
import { zhPages } from './words/zh.pages';

const en = translator({ ...first, ...enPages });
const zh = translator({ ...zhFirst, ...zhPages });
it('says how often in both languages', () => {
  expect(['15m', '1h', '30s', '2d', '1w'].map((every) => schedule(every, 'en', en))).toEqual([
    'every 15 minutes',
    'every hour',
    'every 30 seconds',
    'every 2 days',
    'every week',
  ]);
  expect(['15m', '1h', '2w'].map((every) => schedule(every, 'zh', zh))).toEqual([
    '每 15 分钟',
    '每小时',
    '每 2 周',
  ]);
});
it('leaves crontab expressions as they are', () => {
  expect(schedule('0 7 * * 1-5', 'en', en)).toBe('0 7 * * 1-5');
});
it('says how long', () => {
  expect([span('3h', 'en'), span('1d', 'en'), span('28d', 'zh'), span('1h30m', 'zh')]).toEqual([
    '3 hours',
    '1 day',
    '28 天',
    '1h30m',
  ]);
});
