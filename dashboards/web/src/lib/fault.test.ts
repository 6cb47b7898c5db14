import { expect, it } from 'vitest';
import type { Problem } from '../api/schema';
import { codeOf, fault } from './fault';
import { translator } from './words';
import { en as enWords } from './words/en';
import { zh as zhWords } from './words/zh';

const failed = (problem: Problem): unknown => ({ problem });
const zh = translator(zhWords);
const en = translator(enWords);
const missing = failed({
  code: 'not_found',
  title: 'Not found',
  detail: 'table mart.ordrs was not found',
  hint: 'did you mean mart.orders?',
});
it('says what was not found, with what to do', () => {
  expect(fault(missing, zh)).toMatchObject({
    text: '没有找到：table mart.ordrs was not found',
    hint: 'did you mean mart.orders?',
    again: false,
  });
  expect(fault(missing, en).text).toBe('Not found: table mart.ordrs was not found');
});
it('has words of its own where the server said nothing', () => {
  expect(fault(failed({ code: 'forbidden' }), en).text).toBe('You do not have the right to see this.');
  const offline = failed({ code: 'offline', detail: 'TypeError: Failed to fetch' });
  expect(fault(offline, zh)).toMatchObject({ text: '连不上服务器，请检查网络或稍后重试。', again: true });
});
it('tells codes that it does not know as the server does', () => {
  const sql = { code: 'sql', title: 'The query cannot run', detail: 'no column amunt', query_id: 'q1' };
  expect(fault(failed(sql), zh)).toMatchObject({ text: 'no column amunt', queryId: 'q1' });
  expect(fault(failed({ code: 'http_502', detail: '' }), zh).text).toBe('http_502');
  expect(codeOf(failed(sql))).toBe('sql');
});
it('tells any other failure in its own words', () => {
  expect(fault(new Error('broken off'), en)).toMatchObject({
    text: 'broken off',
    queryId: null,
    again: true,
  });
  expect(fault('odd', en).text).toBe('odd');
  expect(codeOf(new Error('x'))).toBeNull();
});
