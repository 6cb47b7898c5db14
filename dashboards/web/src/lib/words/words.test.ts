import { expect, it } from 'vitest';
import { en as enFirst } from './en';
import { enPages } from './en.pages';
import { loadPageWords, loadWords, orElse, translator } from './index';
import { zh as zhFirst } from './zh';
import { zhPages } from './zh.pages';

const zh = { ...zhFirst, ...zhPages };
const en = { ...enFirst, ...enPages };

const holes = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
it('has the same keys in both languages', () => {
  expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort());
});
it('has no empty text, and the same holes to fill', () => {
  for (const key of Object.keys(zh) as (keyof typeof zh)[]) {
    expect(zh[key].trim(), key).not.toBe('');
    expect(en[key].trim(), key).not.toBe('');
    expect(holes(en[key]), key).toEqual(holes(zh[key]));
  }
});
it('leaves no Chinese in English', () => {
  const kept = new Set(['language.zh', 'brand', 'language.switch']);
  const found = Object.entries(en).filter(([key, text]) => !kept.has(key) && /[\u4e00-\u9fff]/.test(text));
  expect(found).toEqual([]);
});
it('fills holes and falls back on unknown codes', () => {
  expect(translator(zh)('range.days', { n: 7 })).toBe('最近 7 天');
  expect(orElse(translator(en), 'error.never_heard_of', 'never_heard_of')).toBe('never_heard_of');
});
it('loads the language asked for', async () => {
  expect({ ...(await loadWords('zh')), ...(await loadPageWords('zh')) }).toEqual(zh);
  expect({ ...(await loadWords('en')), ...(await loadPageWords('en')) }).toEqual(en);
});
it('shows a code that it does not know instead of failing', () => {
  expect(translator(en)(`severity.${'fatal' as 'info'}`)).toBe('fatal');
});
