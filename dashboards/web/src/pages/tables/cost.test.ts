import { expect, it } from 'vitest';
import { translator } from '../../lib/words';
import { en } from '../../lib/words/en';
import { enPages } from '../../lib/words/en.pages';
import { zh } from '../../lib/words/zh';
import { zhPages } from '../../lib/words/zh.pages';
import { costText } from './cost';

const chinese = translator({ ...zh, ...zhPages });
const english = translator({ ...en, ...enPages });

it('tells time, rows and size of a build in both languages', () => {
  const cost = { seconds: 0.34, rows: 12_345, bytes: 1_234_567 };
  expect(costText(cost, 'zh', chinese)).toBe('340 ms · 12,345 行 · 1.2 MB');
  expect(costText({ ...cost, seconds: 200 }, 'en', english)).toBe('3 min 20 s · 12,345 rows · 1.2 MB');
});
it('tells nothing from a build that took nothing', () => {
  expect(costText(null, 'zh', chinese)).toBe('—');
  expect(costText(undefined, 'en', english)).toBe('—');
  expect(costText({ seconds: 0, rows: 0, bytes: 0 }, 'zh', chinese)).toBe('0 ms · 0 行 · 0 B');
});
